#include "results/hdf5/hdf5.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <hdf5.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "results/hdf5/hdf5_detail.hpp"

namespace gembench::h5 {
namespace {

// 1.12.0 is older than 1.10.7.
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 12, 0))
#define GEMBENCH_HDF5_LOCKING_IS_A_PROPERTY
#endif

static_assert(std::is_same_v<hid_t, std::int64_t> && std::is_same_v<herr_t, int>);

/// No printing by HDF5, and no closing at exit: after a failed write that would flush half a state
/// over the last good one.
void prepare_library() {
  static const bool done = [] {
#ifndef GEMBENCH_HDF5_LOCKING_IS_A_PROPERTY
    turn_off_locks_by_environment();
#endif
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    return true;
  }();
  (void)done;
}

Handle access_list(bool writing) {
  Handle list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // No space in hand for later either, so that the file is as long as its content.
  if (writing) H5Pset_meta_block_size(list.get(), 0);
  if (writing) H5Pset_small_data_block_size(list.get(), 0);
#ifdef GEMBENCH_HDF5_LOCKING_IS_A_PROPERTY
  H5Pset_file_locking(list.get(), false, true);  // FileLock does; HDF5_USE_FILE_LOCKING still rules
#endif
  return list;
}

herr_t keep_reason(unsigned, const H5E_error2_t* error, void* reason_pointer) {
  auto& reason = *static_cast<std::string*>(reason_pointer);
  const std::string text = error->desc != nullptr ? error->desc : "";
  constexpr std::string_view mark = "errno = ";
  if (const auto at = text.rfind(mark); at != std::string::npos) {
    const int number = std::atoi(text.c_str() + at + mark.size());
    reason = system_reason(number);
    if (text.starts_with("unable to lock") && number != EAGAIN) {
      reason += ": set HDF5_USE_FILE_LOCKING=FALSE where a file system has no locks";
    }
    return 1;  // the operating system's word is the best there is
  }
  if (reason.empty()) reason = text;
  return 0;
}

std::string last_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, &reason);
  return reason.empty() ? "unknown HDF5 error" : reason;
}

}  // namespace

Handle text_type() {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
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

std::string library_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return "HDF5 " + std::to_string(major) + "." + std::to_string(minor) + "." +
         std::to_string(release);
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

File File::open(const std::filesystem::path& path) {
  prepare_library();
  File file(path, ExitCode::usage);
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) file.refuse("there is no such file");
  if (error) file.refuse(error.message());
  if (!std::filesystem::is_regular_file(status)) file.refuse("it is not a regular file");
  const auto refuse_written = [&] {
    file.refuse(
        "a run is writing it: wait for its end, or set HDF5_USE_FILE_LOCKING=FALSE to "
        "look at the blocks there are");
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

}  // namespace gembench::h5
