#pragma once

#include <cstddef>
#include <string>

namespace gembench::inline run {

// Progress on standard error: drawn in place on a terminal, else a line every ten seconds.

/// While segments are measured.
class ProgressLines {
 public:
  /// `total` segments at most; `max_seconds`: time after which they end (0 = never).
  ProgressLines(bool on, std::size_t total, double max_seconds);
  ProgressLines(const ProgressLines&) = delete;
  ProgressLines& operator=(const ProgressLines&) = delete;
  ~ProgressLines();
  void skip() { --total_; }
  void done(const std::string& what);

 private:
  bool on_;
  std::size_t total_, done_ = 0;
  double max_seconds_, begin_, last_ = -1e9;
};

/// While a profile is measured, for at most `budget` seconds.
class ProfileLines {
 public:
  ProfileLines(bool on, double budget);
  ProfileLines(const ProfileLines&) = delete;
  ProfileLines& operator=(const ProfileLines&) = delete;
  ~ProfileLines();
  void at_round();

 private:
  bool on_;
  double budget_, begin_, last_;
};

}  // namespace gembench::inline run
