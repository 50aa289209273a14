#include "results/hdf5/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace gembench::h5 {
namespace {

constexpr const char* kVariable = "HDF5_USE_FILE_LOCKING";

/// The user's setting, before we change it.
bool locks_wanted() {
  static const bool wanted = [] {
    const char* value = std::getenv(kVariable);
    const std::string_view text = value ? value : "";
    return text != "FALSE" && text != "0";
  }();
  return wanted;
}

/// 0, or errno.
int lock(int file, int how) {
  int error = 0;
  do {
    error = flock(file, how | LOCK_NB) == 0 ? 0 : errno;
  } while (error == EINTR);
  return error;
}

}  // namespace

FileLock::~FileLock() {
  if (file_ >= 0) close(file_);
}

bool FileLock::to_read(const std::filesystem::path& path, FileLock& held) {
  if (!locks_wanted()) return true;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return true;  // HDF5 will report why
  const int error = lock(file, LOCK_SH);
  if (error == 0) {
    held.file_ = file;
    return true;
  }
  close(file);
  return error != EWOULDBLOCK;
}

void FileLock::to_write(int descriptor) {
  if (locks_wanted()) static_cast<void>(lock(descriptor, LOCK_EX));
}

void turn_off_locks_by_environment() {
  static_cast<void>(locks_wanted());
  setenv(kVariable, "FALSE", 0);
}

}  // namespace gembench::h5
