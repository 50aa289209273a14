#include "results/hdf5.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "results/hdf5_detail.hpp"

namespace gembench::h5 {
namespace {

static_assert(std::is_same_v<hid_t, std::int64_t> && std::is_same_v<herr_t, int>);

constexpr std::uint64_t kMaxWrittenChunk = 1 << 20;  // bytes
constexpr std::uint64_t kMaxReadChunk = 64 << 20;    // bytes; HDF5 allocates a chunk as declared
constexpr std::uint64_t kDeflateLimit = 1040;        // deflate cannot shrink more (zlib: 1032)
constexpr unsigned kDeflateLevel = 4;

/// No printing by HDF5, and no closing at exit: after a failed write that would flush half a state
/// over the last good one.
void prepare_library() {
  static const bool done = [] {
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  (void)done;
}

Handle access_list(bool writing) {
  Handle list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // No chunk cache while writing: a chunk goes to the disk in H5Dwrite, before the index of chunks.
  if (writing) H5Pset_cache(list.get(), 0, 0, 0, 0.0);
#if H5_VERSION_GE(1, 10, 7)
  H5Pset_file_locking(list.get(), true, true);  // file systems without locks are fine
#endif
  return list;
}

Handle space_of(const Extents& extents) {
  if (extents.empty()) return {H5Screate(H5S_SCALAR), H5Sclose};
  const std::vector<hsize_t> dims(extents.begin(), extents.end());
  return {H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose};
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

Extents chunk_of(const Variable& variable, const Extents& extents, std::uint64_t steps) {
  Extents chunk = extents;
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    if (variable.dims[d] == "placement") chunk[d] = 1;
    if (variable.dims[d] == "step")
      chunk[d] = std::min(chunk[d], std::max<std::uint64_t>(steps, 1));
  }
  const auto size = H5Tget_size(file_type(variable.type));
  for (std::size_t d = 0; d < chunk.size(); ++d) {
    while (chunk[d] > 1 && product(chunk, size) > kMaxWrittenChunk) chunk[d] = (chunk[d] + 1) / 2;
  }
  return chunk;
}

herr_t keep_reason(unsigned, const H5E_error2_t* error, void* reason_pointer) {
  auto& reason = *static_cast<std::string*>(reason_pointer);
  const std::string text = error->desc != nullptr ? error->desc : "";
  constexpr std::string_view mark = "error message = '";
  if (const auto at = text.find(mark); at != std::string::npos) {
    const auto from = at + mark.size();
    reason = text.substr(from, text.find('\'', from) - from);
    return 1;  // the operating system's word is the best there is
  }
  if (reason.empty()) reason = text;
  return 0;
}

}  // namespace

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

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

std::string last_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, &reason);
  return reason.empty() ? "unknown HDF5 error" : reason;
}

void File::refuse(const std::string& reason) const {
  failed_ = true;
  throw Error(code_, fmt::format("cannot {} {}: {}", code_ == ExitCode::output ? "write" : "read",
                                 path_.string(), reason));
}

std::int64_t File::check(std::int64_t result) const {
  if (result < 0) refuse(last_reason());
  return result;
}

File File::create(const std::filesystem::path& path) {
  prepare_library();
  File file(path, ExitCode::output);
  file.id_ = Handle(
      file.check(H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access_list(true).get())),
      H5Fclose);
  return file;
}

File File::open(const std::filesystem::path& path) {
  prepare_library();
  File file(path, ExitCode::usage);
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) file.refuse("there is no such file");
  if (error) file.refuse(error.message());
  if (!std::filesystem::is_regular_file(status)) file.refuse("it is not a regular file");
  const auto access = access_list(false);
  if (H5Fis_hdf5(path.c_str()) == 0) file.refuse("it is not an HDF5 file");
  file.id_ = Handle(file.check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get())), H5Fclose);
  return file;
}

File::~File() {
  if (id_.get() < 0 || code_ != ExitCode::output) return;
  try {
    if (!failed_) flush();
  } catch (const std::exception&) {  // flush has set failed_
  }
  if (failed_) id_.release();  // closing would flush
}

void File::close() {
  check(H5Fclose(id_.get()));
  id_.release();
}

void File::flush() {
  hsize_t size = 0;
  int* descriptor = nullptr;
  struct stat status {};
  check(H5Fget_filesize(id_.get(), &size));
  check(H5Fget_vfd_handle(id_.get(), H5P_DEFAULT, reinterpret_cast<void**>(&descriptor)));
  if (fstat(*descriptor, &status) == 0 && static_cast<off_t>(size) > status.st_size) {
    const int error =
        posix_fallocate(*descriptor, status.st_size, static_cast<off_t>(size) - status.st_size);
    if (error == ENOSPC || error == EFBIG || error == EDQUOT || error == EIO) {
      refuse(std::strerror(error));
    }
  }
  check(H5Fflush(id_.get(), H5F_SCOPE_GLOBAL));
}

Handle File::dataset(std::string_view name) const {
  if (!has(name)) refuse(fmt::format("it has no dataset {}", name));
  return {check(H5Dopen2(id_.get(), std::string(name).c_str(), H5P_DEFAULT)), H5Dclose};
}

bool File::has(std::string_view name) const {
  // H5Lexists fails for a path with a missing group on the way, which is a no as well.
  return H5Lexists(id_.get(), std::string(name).c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> File::members(std::string_view group) const {
  std::vector<std::string> names;
  if (!has(group)) return names;
  check(H5Literate_by_name(
      id_.get(), std::string(group).c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* name, const H5L_info_t*, void* list) {
        static_cast<std::vector<std::string>*>(list)->emplace_back(name);
        return 0;
      },
      &names, H5P_DEFAULT));
  return names;
}

void File::make_group(std::string_view name) {
  Handle(check(H5Gcreate2(id_.get(), std::string(name).c_str(), H5P_DEFAULT, H5P_DEFAULT,
                          H5P_DEFAULT)),
         H5Gclose);
}

void File::make_dataset(const Variable& variable, const Extents& extents, std::uint64_t steps) {
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
  if (variable.layout == Layout::chunked) {
    const auto chunk = chunk_of(variable, extents, steps);
    const std::vector<hsize_t> dims(chunk.begin(), chunk.end());
    check(H5Pset_chunk(list.get(), static_cast<int>(dims.size()), dims.data()));
    check(H5Pset_shuffle(list.get()));
    check(H5Pset_deflate(list.get(), kDeflateLevel));
  } else {
    check(H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY));
  }
  const std::string name(variable.name);
  const Handle made(check(H5Dcreate2(id_.get(), name.c_str(), type, space_of(extents).get(),
                                     H5P_DEFAULT, list.get(), H5P_DEFAULT)),
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
  make_dataset(scale, {extent}, 0);
  check(H5DSset_scale(dataset(scale.name).get(), std::string(scale.dims[0]).c_str()));
}

void File::make(const Variable& variable, const Extents& extents, std::uint64_t steps_per_chunk) {
  make_dataset(variable, extents, steps_per_chunk);
  const auto made = dataset(variable.name);
  const std::string group(variable.name.substr(0, variable.name.rfind('/') + 1));
  for (unsigned d = 0; d < variable.rank(); ++d) {
    const std::string root(variable.dims[d]);
    const std::string near = group.substr(0, group.size()) + root;
    const auto scale = dataset(group != variable.name && has(near) ? near : root);
    check(H5DSattach_scale(made.get(), scale.get(), d));
  }
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

std::size_t File::stored_size(const Variable& variable, const Extents& wanted) const {
  expect(variable, wanted);
  const auto set = dataset(variable.name);
  const Handle type(check(H5Dget_type(set.get())), H5Tclose);
  hsize_t file_size = 0;
  check(H5Fget_filesize(id_.get(), &file_size));
  const auto stored = std::min<std::uint64_t>(H5Dget_storage_size(set.get()), file_size);
  if (product(wanted, H5Tget_size(type.get())) / kDeflateLimit > stored) {
    refuse(fmt::format("its dataset {} is larger than the file can hold", variable.name));
  }
  return product(wanted);
}

void File::write_raw(const Variable& variable, const Extents& start, const Extents& count,
                     Type memory, const void* values) {
  const auto set = dataset(variable.name);
  const Handle space(check(H5Dget_space(set.get())), H5Sclose);
  if (H5Sget_simple_extent_npoints(space.get()) == 0) return;
  if (count.empty()) {
    check(H5Dwrite(set.get(), native_type(memory), H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
    return;
  }
  const std::vector<hsize_t> from(start.begin(), start.end()), size(count.begin(), count.end());
  check(
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, from.data(), nullptr, size.data(), nullptr));
  check(H5Dwrite(set.get(), native_type(memory), space_of(count).get(), space.get(), H5P_DEFAULT,
                 values));
}

void File::read_raw(const Variable& variable, const Extents& start, const Extents& count,
                    Type memory, void* values) const {
  const auto set = dataset(variable.name);
  const Handle space(check(H5Dget_space(set.get())), H5Sclose);
  if (H5Sget_simple_extent_npoints(space.get()) == 0) return;
  if (count.empty()) {
    check(H5Dread(set.get(), native_type(memory), H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
    return;
  }
  const std::vector<hsize_t> from(start.begin(), start.end()), size(count.begin(), count.end());
  check(
      H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, from.data(), nullptr, size.data(), nullptr));
  check(H5Dread(set.get(), native_type(memory), space_of(count).get(), space.get(), H5P_DEFAULT,
                values));
}

}  // namespace gembench::h5
