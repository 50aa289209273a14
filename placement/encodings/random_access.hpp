#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace gembench::inline encodings {

/// A regular file read at any position, for formats with a directory. Errors are usage errors that
/// name the file.
class RandomAccessFile {
 public:
  explicit RandomAccessFile(const std::filesystem::path& path);
  ~RandomAccessFile();
  RandomAccessFile(RandomAccessFile&& other) noexcept;
  RandomAccessFile& operator=(RandomAccessFile&&) = delete;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Refuses a file that ends before `to` is full.
  void read_at(std::uint64_t offset, std::span<std::byte> to) const;
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace gembench::inline encodings
