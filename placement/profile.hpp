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

/// What a rank's time in a layer is taken to depend on.
enum class CostKind {
  tokens,   ///< the sum of its tokens: f_g(sum), the paper's model (arXiv:2605.19945)
  experts,  ///< each of its experts by itself: overhead_g + sum over experts of h_g(tokens). Ours
};

/// How well a cost model reproduces the profile it was made from: |predicted / measured - 1| over
/// ranks and knots with the load spread evenly over the experts, as it was measured.
struct FitError {
  double mean = 0;
  double worst = 0;
};

/// Predicted seconds of one layer on one rank.
///
/// `tokens`: overhead + latency interpolated linearly between knots, continued with the last slope
/// (0 if it falls) beyond the last knot.
/// `experts`: every expert costs h_g(n), h_g(0) = 0, so that active experts pay for reading their
/// weights and for their own tiles. The profile's loads were spread evenly over `slots` experts,
/// hence h_g(n) = (latency(n * slots) - latency(0)) / slots, not below 0; latency(0) is overhead.
class CostModel {
 public:
  /// `tokens`. Validates the profile and keeps what it needs of it.
  explicit CostModel(const Profile& profile);
  /// `slots`: experts the profile's loads were spread over; only `experts` needs it. Usage error
  /// for less than 1.
  CostModel(const Profile& profile, CostKind kind, int slots);
  [[nodiscard]] CostKind kind() const { return kind_; }
  [[nodiscard]] int ranks() const { return ranks_; }
  /// Experts that the profile's loads were spread over; 1 with `tokens`.
  [[nodiscard]] int slots() const { return slots_; }
  /// With `experts`: of that many tokens spread evenly over the profile's slots.
  [[nodiscard]] double seconds(int rank, std::int64_t tokens) const;
  /// `experts` only: h_g, what one expert with that many tokens adds.
  [[nodiscard]] double expert_seconds(int rank, std::int64_t tokens) const;
  /// Of a rank whose experts get these tokens, by either kind.
  [[nodiscard]] double rank_seconds(int rank, std::span<const std::int32_t> expert_tokens) const;
  /// Time for one more token far out on the curve: the slope over the whole measured range.
  [[nodiscard]] double mean_slope(int rank) const;
  [[nodiscard]] FitError fit_error() const;
  [[nodiscard]] std::span<const std::int64_t> knots() const { return knots_; }
  /// Predicted seconds of a rank at every knot, overhead included.
  [[nodiscard]] std::span<const double> latency(int rank) const {
    return std::span(latency_).subspan(static_cast<std::size_t>(rank) * knots_.size(),
                                       knots_.size());
  }

 private:
  int ranks_;
  CostKind kind_ = CostKind::tokens;
  int slots_ = 1;
  std::vector<std::int64_t> knots_;
  std::vector<double> latency_;  // [rank][knot], overhead included
  std::vector<double> slope_;    // [rank][knot] of the segment that ends there
};

}  // namespace gembench
