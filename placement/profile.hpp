#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gembench {

/// Latency of every rank against load, as measured (or stated). A plain value; times in seconds.
struct Profile {
  int ranks = 0;
  /// Loads at which latency was measured: tokens on a rank in one layer, one count per
  /// (token, expert). Ascending, the first is 0.
  std::vector<std::int64_t> knots;
  std::vector<double> latency;   ///< [rank][knot] median time of the expert phase
  std::vector<double> spread;    ///< [rank][knot] interquartile range of the same repeats
  std::vector<double> overhead;  ///< [rank] time per layer that no placement changes (routing, ..)
  std::vector<double> slowdown;  ///< [rank] emulated stretch contained in the numbers; 1 = none
  std::string model;             ///< shape it holds for, e.g. "gpt-oss-20b/4 f32"
  std::string device;            ///< "cpu" or "cuda", with its name
  std::string clock;             ///< "wall" or "cpu-time"

  [[nodiscard]] double at(int rank, std::size_t knot) const {
    return latency[static_cast<std::size_t>(rank) * knots.size() + knot];
  }
};

/// Refuses (usage error) sizes that disagree, fewer than two knots, knots that do not ascend from
/// 0, or a time that is negative, NaN or infinite.
void validate(const Profile& profile);

/// A profile that stands for ideal, equally fast ranks: one second per token, no overhead.
[[nodiscard]] Profile equal_ranks(int ranks, std::int64_t max_tokens);

/// Predicted seconds of one layer on one rank: overhead + latency interpolated linearly between
/// knots, continued with the last slope (0 if it falls) beyond the last knot. The paper's model
/// (`tokens`).
class CostModel {
 public:
  /// Validates the profile and keeps what it needs of it.
  explicit CostModel(const Profile& profile);
  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] double seconds(int rank, std::int64_t tokens) const;
  /// Time for one more token far out on the curve: the slope over the whole measured range.
  [[nodiscard]] double mean_slope(int rank) const;
  [[nodiscard]] std::span<const std::int64_t> knots() const { return knots_; }
  /// Predicted seconds of a rank at every knot, overhead included.
  [[nodiscard]] std::span<const double> latency(int rank) const {
    return std::span(latency_).subspan(static_cast<std::size_t>(rank) * knots_.size(),
                                       knots_.size());
  }

 private:
  int ranks_;
  std::vector<std::int64_t> knots_;
  std::vector<double> latency_;  // [rank][knot], overhead included
};

}  // namespace gembench
