// Datasets: making, checking, writing and reading them.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hdf5.h>
#include <hdf5_hl.h>

#include <algorithm>
#include <array>
#include <limits>

#include "results/hdf5/hdf5.hpp"
#include "results/hdf5/hdf5_detail.hpp"

namespace gembench::h5 {
namespace {

constexpr std::uint64_t kMaxWrittenChunk = 1 << 20;  // bytes
constexpr std::uint64_t kStepsOfChunk = 64;
constexpr std::uint64_t kLabelsOfChunk = 4096;     // steps, of datasets with one value a step
constexpr std::uint64_t kMaxReadChunk = 64 << 20;  // bytes; HDF5 allocates a chunk as declared
constexpr std::uint64_t kDeflateLimit = 1040;      // deflate cannot shrink more (zlib: 1032)
constexpr unsigned kDeflateLevel = 1;  // higher levels take longer and save little after shuffle

std::int64_t file_type(Type type) {
  switch (type) {
    case Type::float32:
      return H5T_IEEE_F32LE;
    case Type::float64:
      return H5T_IEEE_F64LE;
    case Type::int32:
      return H5T_STD_I32LE;
    case Type::int64:
      return H5T_STD_I64LE;
    case Type::uint16:
      return H5T_STD_U16LE;
    case Type::text:
      break;
  }
  return H5I_INVALID_HID;
}

std::int64_t native_type(Type type) {
  switch (type) {
    case Type::float32:
      return H5T_NATIVE_FLOAT;
    case Type::float64:
      return H5T_NATIVE_DOUBLE;
    case Type::int32:
      return H5T_NATIVE_INT32;
    case Type::int64:
      return H5T_NATIVE_INT64;
    case Type::uint16:
      return H5T_NATIVE_UINT16;
    case Type::text:
      break;
  }
  return H5I_INVALID_HID;
}

Handle space_of(const Extents& extents, bool grows = false) {
  if (extents.empty()) return {H5Screate(H5S_SCALAR), H5Sclose};
  const std::vector<hsize_t> dims(extents.begin(), extents.end());
  auto most = dims;
  if (grows) most[0] = H5S_UNLIMITED;
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), most.data()), H5Sclose};
}

bool grows(Layout layout) {
  return layout == Layout::growing || layout == Layout::growing_compressed;
}

/// Product with saturation, so that huge declared extents cannot wrap around.
std::uint64_t product(const Extents& extents, std::uint64_t factor = 1) {
  for (auto extent : extents) {
    if (__builtin_mul_overflow(factor, extent, &factor)) {
      return std::numeric_limits<std::uint64_t>::max();
    }
  }
  return factor;
}

Extents chunk_of(const Variable& variable, const Extents& extents) {
  Extents chunk = extents;
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    if (variable.dims[d] == "placement") chunk[d] = 1;
    if (variable.dims[d] == "step") chunk[d] = std::min(kStepsOfChunk, chunk[d]);
  }
  if (grows(variable.layout)) chunk[0] = variable.rank() == 1 ? kLabelsOfChunk : kStepsOfChunk;
  const auto size = H5Tget_size(file_type(variable.type));
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    while (chunk[d] > 1 && product(chunk, size) > kMaxWrittenChunk) chunk[d] = (chunk[d] + 1) / 2;
  }
  return chunk;
}

}  // namespace

Handle File::dataset(std::string_view name) const {
  if (!has(name)) refuse(fmt::format("it has no dataset {}", name));
  return {check(H5Dopen2(id_.get(), std::string(name).c_str(), H5P_DEFAULT)), H5Dclose};
}

void File::make_dataset(const Variable& variable, const Extents& extents) {
  const bool text = variable.type == Type::text;
  const auto strings = text_type();
  const hid_t type = text ? strings.get() : file_type(variable.type);
  Handle list(check(H5Pcreate(H5P_DATASET_CREATE)), H5Pclose);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::int64_t none = -1;
  const bool real = variable.type == Type::float32 || variable.type == Type::float64;
  const bool fill = variable.cells == Cells::unmeasured;
  if (fill && real) check(H5Pset_fill_value(list.get(), H5T_NATIVE_DOUBLE, &nan));
  if (fill && !real) check(H5Pset_fill_value(list.get(), H5T_NATIVE_INT64, &none));
  if (variable.layout != Layout::whole) {
    const auto chunk = chunk_of(variable, extents);
    const std::vector<hsize_t> dims(chunk.begin(), chunk.end());
    check(H5Pset_chunk(list.get(), static_cast<int>(dims.size()), dims.data()));
  }
  if (variable.layout == Layout::chunked || variable.layout == Layout::growing_compressed) {
    check(H5Pset_shuffle(list.get()));
    check(H5Pset_deflate(list.get(), kDeflateLevel));
  }
  if (variable.layout == Layout::whole) {
    check(H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY));
  }
  check(H5Pset_obj_track_times(list.get(), false));  // writing values changes nothing but values
  const std::string name(variable.name);
  const Handle made(check(H5Dcreate2(id_.get(), name.c_str(), type,
                                     space_of(extents, grows(variable.layout)).get(), H5P_DEFAULT,
                                     list.get(), H5P_DEFAULT)),
                    H5Dclose);
  if (fill) {
    const Handle attribute(check(H5Acreate2(made.get(), "_FillValue", type, space_of({}).get(),
                                            H5P_DEFAULT, H5P_DEFAULT)),
                           H5Aclose);
    check(real ? H5Awrite(attribute.get(), H5T_NATIVE_DOUBLE, &nan)
               : H5Awrite(attribute.get(), H5T_NATIVE_INT64, &none));
  }
  if (!variable.units.empty()) set(name, "units", std::string(variable.units));
  set(name, "long_name", std::string(variable.meaning));
}

void File::make_scale(const Variable& scale, std::uint64_t extent) {
  make_dataset(scale, {extent});
  check(H5DSset_scale(dataset(scale.name).get(), std::string(scale.dims[0]).c_str()));
}

void File::make(const Variable& variable, const Extents& extents) {
  make_dataset(variable, extents);
  const auto made = dataset(variable.name);
  const std::string group(variable.name.substr(0, variable.name.rfind('/') + 1));
  for (unsigned d = 0; d < variable.rank(); ++d) {
    const std::string name(variable.dims[d]);
    const auto scale = dataset(has(group + name) ? group + name : name);
    check(H5DSattach_scale(made.get(), scale.get(), d));
  }
}

void File::grow(const Variable& variable, const Extents& extents) {
  const std::vector<hsize_t> dims(extents.begin(), extents.end());
  check(H5Dset_extent(dataset(variable.name).get(), dims.data()));
}

Extents File::extents(const Variable& variable) const {
  const auto set = dataset(variable.name);
  const Handle space(check(H5Dget_space(set.get())), H5Sclose);
  const Handle type(check(H5Dget_type(set.get())), H5Tclose);
  const Handle list(check(H5Dget_create_plist(set.get())), H5Pclose);
  const auto strings = text_type();
  const hid_t wanted = variable.type == Type::text ? strings.get() : file_type(variable.type);
  const auto kind = H5Tget_class(wanted);
  bool same = H5Tget_class(type.get()) == kind && H5Tget_size(type.get()) == H5Tget_size(wanted);
  if (same && kind == H5T_INTEGER) same = H5Tget_sign(type.get()) == H5Tget_sign(wanted);
  if (same && kind == H5T_STRING) same = H5Tis_variable_str(type.get()) > 0;
  if (!same) refuse(fmt::format("its dataset {} has another type", variable.name));
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank != static_cast<int>(variable.rank())) {
    refuse(fmt::format("its dataset {} has {} dimensions instead of {}", variable.name, rank,
                       variable.rank()));
  }
  std::array<hsize_t, 4> dims{};
  check(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr));
  Extents result(dims.begin(), dims.begin() + rank);
  const auto layout = H5Pget_layout(list.get());
  bool usual = layout != H5D_VIRTUAL && H5Pget_external_count(list.get()) == 0;
  if (usual && layout == H5D_CHUNKED) {
    check(H5Pget_chunk(list.get(), rank, dims.data()));
    const Extents chunk(dims.begin(), dims.begin() + rank);
    usual = product(chunk, H5Tget_size(wanted)) <= kMaxReadChunk;
  }
  if (!usual) refuse(fmt::format("its dataset {} is stored in an unusual way", variable.name));
  return result;
}

void File::expect(const Variable& variable, const Extents& wanted) const {
  const auto found = extents(variable);
  if (found != wanted) {
    refuse(fmt::format("its dataset {} has extents {} where {} follow from the others",
                       variable.name, fmt::join(found, " x "), fmt::join(wanted, " x ")));
  }
}

Handle File::selection(std::int64_t set, const Extents& start, const Extents& count) const {
  Handle space(check(H5Dget_space(set)), H5Sclose);
  if (count.empty()) return space;
  const std::vector<hsize_t> from(start.begin(), start.end()), size(count.begin(), count.end());
  check(
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, from.data(), nullptr, size.data(), nullptr));
  return space;
}

std::size_t File::stored_size(const Variable& variable, const Extents& wanted) const {
  expect(variable, wanted);
  const auto set = dataset(variable.name);
  const Handle type(check(H5Dget_type(set.get())), H5Tclose);
  const Handle list(check(H5Dget_create_plist(set.get())), H5Pclose);
  hsize_t file_size = 0;
  check(H5Fget_filesize(id_.get(), &file_size));
  const auto stored = std::min<std::uint64_t>(H5Dget_storage_size(set.get()), file_size);
  const auto ratio = H5Pget_layout(list.get()) == H5D_CHUNKED ? kDeflateLimit : 1;
  if (product(wanted, H5Tget_size(type.get())) / ratio > stored) {
    refuse(fmt::format("its dataset {} is larger than the file can hold", variable.name));
  }
  return product(wanted);
}

void File::write_raw(const Variable& variable, const Extents& start, const Extents& count,
                     Type memory, const void* values) {
  const auto set = dataset(variable.name);
  const auto file_space = selection(set.get(), start, count);
  const auto memory_space = count.empty() ? Handle() : space_of(count);
  check(H5Dwrite(set.get(), native_type(memory), count.empty() ? H5S_ALL : memory_space.get(),
                 file_space.get(), H5P_DEFAULT, values));
}

void File::read_raw(const Variable& variable, const Extents& start, const Extents& count,
                    Type memory, void* values) const {
  const auto set = dataset(variable.name);
  const auto file_space = selection(set.get(), start, count);
  const auto memory_space = count.empty() ? Handle() : space_of(count);
  check(H5Dread(set.get(), native_type(memory), count.empty() ? H5S_ALL : memory_space.get(),
                file_space.get(), H5P_DEFAULT, values));
}

}  // namespace gembench::h5
