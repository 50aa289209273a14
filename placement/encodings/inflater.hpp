#pragma once

#include <zlib.h>

#include <memory>
#include <span>
#include <string_view>

namespace gembench::inline encodings {

/// Unpacks a zlib stream, at most as many bytes at a time as the caller has room for, so that a zip
/// bomb does no harm. The packed bytes must outlive it.
class Inflater {
 public:
  explicit Inflater(std::string_view packed);
  /// Fills `to`. Usage error when the stream is broken, or ends too early.
  void read_exactly(std::span<char> to);
  /// Usage error when there is more.
  void expect_end();

 private:
  struct Close {
    void operator()(z_stream* stream) const;
  };
  std::unique_ptr<z_stream, Close> stream_;
};

}  // namespace gembench::inline encodings
