#pragma once

#include <filesystem>
#include <utility>

namespace gembench::h5 {

/// The lock that HDF5 itself uses by default: exclusive for a writer, shared for readers.
/// Implemented here because HDF5 fails to read and write on file systems without locks; there, and
/// with HDF5_USE_FILE_LOCKING=FALSE, this locks nothing and reports no error.
class FileLock {
 public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FileLock();

  /// False if a writer has the file; `lock` then holds nothing.
  [[nodiscard]] static bool to_read(const std::filesystem::path& path, FileLock& lock);
  /// On a descriptor that is open for writing, until that is closed.
  static void to_write(int descriptor);

 private:
  int file_ = -1;
};

/// For HDF5 versions without a per-file setting: turns off HDF5's own locks. Call once, before any
/// other HDF5 function.
void turn_off_locks_by_environment();

}  // namespace gembench::h5
