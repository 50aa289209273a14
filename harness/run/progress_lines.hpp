#pragma once

#include <cstddef>
#include <string>

namespace gembench::inline run {

/// Progress on standard error while segments are measured: a line every ten seconds.
class ProgressLines {
 public:
  /// `total` segments at most; `max_seconds`: time after which they end (0 = never).
  ProgressLines(bool on, std::size_t total, double max_seconds);
  void skip() { --total_; }
  void done(const std::string& what);

 private:
  bool on_;
  std::size_t total_, done_ = 0;
  double max_seconds_, begin_, last_ = -1e9;
};

}  // namespace gembench::inline run
