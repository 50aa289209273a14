#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gembench::inline encodings {

/// Reads a recording of any size sequentially, in small parts, and unpacks gzip, xz and zstd. Input
/// may be hostile; every error is a usage error that names the file.
class ByteStream {
 public:
  explicit ByteStream(const std::filesystem::path& path);
  /// An entry of a zip archive.
  ByteStream(const std::filesystem::path& archive, std::string_view entry);
  /// Names of a zip archive's entries, the first `most` of them.
  [[nodiscard]] static std::vector<std::string> zip_entries(const std::filesystem::path& archive,
                                                            std::size_t most);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;
  ByteStream& operator=(ByteStream&&) noexcept;

  /// Fills `to`, or less at the end of the file.
  [[nodiscard]] std::size_t read(std::span<char> to);
  /// Fills all of `to`, or rejects the file as truncated.
  void read_exactly(std::span<char> to);
  /// The next line without its end (LF or CRLF), and without a byte order mark; false at the end.
  /// Refuses a line over `max_bytes`.
  [[nodiscard]] bool read_line(std::string& line, std::size_t max_bytes);
  /// The rest of the file; rejected above `max_bytes`, before more than that is held.
  [[nodiscard]] std::string read_rest(std::size_t max_bytes);
  /// Unpacked bytes read so far.
  [[nodiscard]] std::uint64_t position() const;
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gembench::inline encodings
