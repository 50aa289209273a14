#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace gembench::inline encodings {

/// A recording's bytes from the front, a little at a time, whatever its size: gzip, xz and zstd are
/// unpacked on the way. Input may be hostile; every error is a usage error that names the file.
class ByteStream {
 public:
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;
  ByteStream& operator=(ByteStream&&) noexcept;

  /// Fills `to` as far as the file goes; less than its size only at the end.
  [[nodiscard]] std::size_t read(std::span<char> to);
  /// Fills all of `to`, or refuses the file as cut off.
  void read_exactly(std::span<char> to);
  /// The next line without its end (LF or CRLF); false at the end. Refuses a line over `max_bytes`.
  [[nodiscard]] bool read_line(std::string& line, std::size_t max_bytes);
  /// All that is left; refused above `max_bytes`, before more than that is held.
  [[nodiscard]] std::string read_rest(std::size_t max_bytes);
  /// Unpacked bytes that were handed out.
  [[nodiscard]] std::uint64_t position() const;
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gembench::inline encodings
