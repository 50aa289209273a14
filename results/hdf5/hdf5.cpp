#include "results/hdf5/hdf5.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hdf5.h>
#include <hdf5_hl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <limits>

#include "results/hdf5/library.hpp"
#include "results/hdf5/storage.hpp"
#include "results/hdf5/texts.hpp"

namespace gembench::h5 {
namespace {

int major_of(std::string_view version) {
  int major = -1;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major;
}

}  // namespace

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
  FileLock::to_write(file.descriptor());
  return file;
}

File File::open(const std::filesystem::path& path, std::span<const Renamed> renamed) {
  prepare_library();
  File file(path, ExitCode::usage);
  file.renamed_ = renamed;
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) file.refuse("there is no such file");
  if (error) file.refuse(error.message());
  if (!std::filesystem::is_regular_file(status)) file.refuse("it is not a regular file");
  const auto refuse_written = [&] {
    file.refuse(
        "a run is writing it: wait for its end, or set HDF5_USE_FILE_LOCKING=FALSE to read the "
        "blocks written so far");
  };
  if (!FileLock::to_read(path, file.lock_)) refuse_written();
  const auto access = access_list(false);
  if (H5Fis_hdf5(path.c_str()) == 0) file.refuse("it is not an HDF5 file");
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get());
  const std::string reason = id < 0 ? last_reason() : "";
  if (reason == system_reason(EAGAIN)) refuse_written();  // where HDF5 was told to lock
  if (id < 0) file.refuse(reason);
  file.id_ = Handle(id, H5Fclose);
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

int File::descriptor() const {
  int* descriptor = nullptr;
  check(H5Fget_vfd_handle(id_.get(), H5P_DEFAULT, reinterpret_cast<void**>(&descriptor)));
  return *descriptor;
}

bool File::is_at(const std::filesystem::path& path) const {
  struct stat here {
  }, there{};
  return fstat(descriptor(), &here) == 0 && stat(path.c_str(), &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

void File::close() {
  check(H5Fclose(id_.get()));
  id_.release();
}

void File::flush() {
  if (failed_) refuse("an earlier write failed");
  hsize_t size = 0;
  struct stat status {};
  check(H5Fget_filesize(id_.get(), &size));
  const int file = descriptor();
  if (fstat(file, &status) == 0 && static_cast<off_t>(size) > status.st_size) {
    const int error =
        posix_fallocate(file, status.st_size, static_cast<off_t>(size) - status.st_size);
    if (error == ENOSPC || error == EFBIG || error == EDQUOT || error == EIO) {
      refuse(system_reason(error));
    }
  }
  check(H5Fflush(id_.get(), H5F_SCOPE_GLOBAL));
}

std::string File::stored_name(std::string_view name) const {
  const auto exists = [&](const std::string& one) {
    // H5Lexists fails for a path with a missing group on the way, which is a no as well.
    return H5Lexists(id_.get(), one.c_str(), H5P_DEFAULT) > 0;
  };
  std::string own(name);
  if (renamed_.empty() || exists(own)) return own;
  for (const auto& [now, before] : renamed_) {
    if (!name.starts_with(now)) continue;
    const std::string_view rest = name.substr(now.size());
    if (!rest.empty() && rest.front() != '/') continue;
    const std::string older = std::string(before) + std::string(rest);
    if (exists(older)) return older;
  }
  return own;
}

bool File::has(std::string_view name) const {
  return H5Lexists(id_.get(), stored_name(name).c_str(), H5P_DEFAULT) > 0;
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

// Datasets.

Handle File::dataset(std::string_view name) const {
  if (!has(name)) refuse(fmt::format("it has no dataset {}", name));
  return {check(H5Dopen2(id_.get(), stored_name(name).c_str(), H5P_DEFAULT)), H5Dclose};
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
  const bool text = variable.type == Type::text;
  const hid_t wanted = text ? type.get() : file_type(variable.type);
  const auto kind = H5Tget_class(wanted);
  const auto count = static_cast<std::uint64_t>(H5Sget_simple_extent_npoints(space.get()));
  bool same =
      text ? is_readable_text(wanted, count)
           : H5Tget_class(type.get()) == kind && H5Tget_size(type.get()) == H5Tget_size(wanted);
  if (same && kind == H5T_INTEGER) same = H5Tget_sign(type.get()) == H5Tget_sign(wanted);
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
  write_raw(dataset(variable.name).get(), start, count, memory, values);
}

void File::write_raw(std::int64_t set, const Extents& start, const Extents& count, Type memory,
                     const void* values) {
  const auto file_space = selection(set, start, count);
  const auto memory_space = count.empty() ? Handle() : space_of(count);
  check(H5Dwrite(set, native_type(memory), count.empty() ? H5S_ALL : memory_space.get(),
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

// Texts and attributes.

void File::write(const Variable& variable, const std::vector<std::string>& values) {
  const auto set = dataset(variable.name);
  check(H5Dwrite(set.get(), text_type().get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                 pointers(values).data()));
}

std::vector<std::string> File::read_texts(const Variable& variable, const Extents& wanted) const {
  const auto count = stored_size(variable, wanted);
  const auto set = dataset(variable.name);
  const Handle type(check(H5Dget_type(set.get())), H5Tclose);
  return read_texts_of(type.get(), count, [&](void* texts) {
    check(H5Dread(set.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, texts));
  });
}

void File::set(std::string_view object, std::string_view name, const Attribute& value) {
  const std::string path(object), key(name);
  const auto strings = text_type();
  const char* text = nullptr;
  std::vector<const char*> texts;
  hid_t type = strings.get(), memory = strings.get();
  const void* data = nullptr;
  Handle space(check(H5Screate(H5S_SCALAR)), H5Sclose);
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    type = H5T_STD_I64LE, memory = H5T_NATIVE_INT64, data = number;
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    type = H5T_STD_U64LE, memory = H5T_NATIVE_UINT64, data = natural;
  } else if (const auto* real = std::get_if<double>(&value)) {
    type = H5T_IEEE_F64LE, memory = H5T_NATIVE_DOUBLE, data = real;
  } else if (const auto* one = std::get_if<std::string>(&value)) {
    text = one->c_str(), data = &text;
  } else {
    const auto& list = std::get<std::vector<std::string>>(value);
    texts = pointers(list), data = texts.data(), space = space_of({list.size()});
  }
  // Through the open object: HDF5 1.10 may lose sight of an attribute opened by its path alone.
  const Handle owner(check(H5Oopen(id_.get(), path.c_str(), H5P_DEFAULT)), H5Oclose);
  const bool exists = check(H5Aexists(owner.get(), key.c_str())) > 0;
  const Handle attribute(check(exists ? H5Aopen(owner.get(), key.c_str(), H5P_DEFAULT)
                                      : H5Acreate2(owner.get(), key.c_str(), type, space.get(),
                                                   H5P_DEFAULT, H5P_DEFAULT)),
                         H5Aclose);
  check(H5Awrite(attribute.get(), memory, data));
}

Handle File::attribute(std::string_view object, std::string_view name) const {
  const std::string path(object), key(name);
  if (H5Aexists_by_name(id_.get(), path.c_str(), key.c_str(), H5P_DEFAULT) <= 0) {
    refuse(fmt::format("it has no attribute {}{}{}", object == "/" ? "" : object,
                       object == "/" ? "" : "@", name));
  }
  return {check(H5Aopen_by_name(id_.get(), path.c_str(), key.c_str(), H5P_DEFAULT, H5P_DEFAULT)),
          H5Aclose};
}

template <class T>
T File::get(std::string_view object, std::string_view name) const {
  const auto found = attribute(object, name);
  const Handle type(check(H5Aget_type(found.get())), H5Tclose);
  const Handle space(check(H5Aget_space(found.get())), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  const auto kind = H5Tget_class(type.get());
  constexpr bool list = std::is_same_v<T, std::vector<std::string>>;
  constexpr bool number = std::is_arithmetic_v<T>;
  // How netCDF writes an empty text.
  const bool empty = H5Sget_simple_extent_type(space.get()) == H5S_NULL && kind == H5T_STRING;
  if constexpr (std::is_same_v<T, std::string>) {
    if (empty) return {};
  }
  const bool fits = number ? kind == H5T_INTEGER || (kind == H5T_FLOAT && std::is_same_v<T, double>)
                           : is_readable_text(type.get(), static_cast<std::uint64_t>(count));
  if (!fits || count < 1 || (!list && count != 1)) {
    refuse(fmt::format("its attribute {} has another type", name));
  }
  if constexpr (number) {
    T value{};
    const hid_t memory = std::is_same_v<T, double>         ? H5T_NATIVE_DOUBLE
                         : std::is_same_v<T, std::int64_t> ? H5T_NATIVE_INT64
                                                           : H5T_NATIVE_UINT64;
    check(H5Aread(found.get(), memory, &value));
    return value;
  } else {
    auto result = read_texts_of(type.get(), static_cast<std::size_t>(count), [&](void* texts) {
      check(H5Aread(found.get(), type.get(), texts));
    });
    if constexpr (list) return result;
    if constexpr (!list) return result.front();
  }
}

template std::int64_t File::get(std::string_view, std::string_view) const;
template std::uint64_t File::get(std::string_view, std::string_view) const;
template double File::get(std::string_view, std::string_view) const;
template std::string File::get(std::string_view, std::string_view) const;
template std::vector<std::string> File::get(std::string_view, std::string_view) const;

bool File::has_text(std::string_view object, std::string_view name) const {
  const auto found = attribute(object, name);
  const Handle type(check(H5Aget_type(found.get())), H5Tclose);
  const Handle space(check(H5Aget_space(found.get())), H5Sclose);
  const auto count = static_cast<std::uint64_t>(H5Sget_simple_extent_npoints(space.get()));
  const bool empty = H5Sget_simple_extent_type(space.get()) == H5S_NULL;
  return is_readable_text(type.get(), count) && (count == 1 || empty);
}

std::vector<std::string> File::attributes(std::string_view object) const {
  std::vector<std::string> names;
  check(H5Aiterate_by_name(
      id_.get(), std::string(object).c_str(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
      [](hid_t, const char* name, const H5A_info_t*, void* list) {
        static_cast<std::vector<std::string>*>(list)->emplace_back(name);
        return 0;
      },
      &names, H5P_DEFAULT));
  return names;
}

void File::expect_schema(std::string_view schema, std::string_view version) const {
  const auto names = attributes("/");
  const auto is_there = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end() && has_text("/", name);
  };
  if (!is_there("schema") || get<std::string>("/", "schema") != schema) {
    refuse(fmt::format("it is not a {} file", schema));
  }
  const auto found = is_there("schema_version") ? get<std::string>("/", "schema_version") : "";
  if (major_of(found) != major_of(version)) {
    refuse(fmt::format("its schema version is '{}' and this program reads {}.x", found,
                       major_of(version)));
  }
}

}  // namespace gembench::h5
