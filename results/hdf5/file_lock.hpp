#pragma once

#include <filesystem>
#include <utility>

namespace gembench::h5 {

/// The lock on a file that HDF5 itself takes by default: its writer's alone, its readers' together.
/// Ours, because HDF5 refuses to read and to write where a file system has no locks; there, and
/// with HDF5_USE_FILE_LOCKING=FALSE, nothing is locked and nothing is said.
class FileLock {
 public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FileLock();

  /// False where a writer has the file; `lock` then holds nothing.
  [[nodiscard]] static bool to_read(const std::filesystem::path& path, FileLock& lock);
  /// On a descriptor that is open for writing, until that is closed.
  static void to_write(int descriptor);

 private:
  int file_ = -1;
};

/// Tells an HDF5 that has no such property of a file to leave locks to us: once, before anything
/// else of it is called.
void turn_off_locks_by_environment();

}  // namespace gembench::h5
