#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gembench::inline speeds {

/// Latency against the number of experts that have tokens, at a few fixed numbers of tokens. Empty:
/// not measured.
struct ActiveSweep {
  std::vector<std::int64_t>
      loads;  ///< tokens on the rank, ascending, tokens shared nearly evenly by ...
  std::vector<std::int32_t> active;  ///< ... this many of its experts; ascending
  std::vector<double> latency;       ///< [rank][load][active] median time of the expert phase, s

  [[nodiscard]] bool empty() const { return loads.empty(); }
  /// Points of one rank.
  [[nodiscard]] std::size_t points() const { return loads.size() * active.size(); }
  [[nodiscard]] double& at(int rank, std::size_t point) {
    return latency[static_cast<std::size_t>(rank) * points() + point];
  }
  [[nodiscard]] double at(int rank, std::size_t point) const {
    return latency[static_cast<std::size_t>(rank) * points() + point];
  }
  [[nodiscard]] std::int64_t load_at(std::size_t point) const {
    return loads[point / active.size()];
  }
  [[nodiscard]] std::int32_t active_at(std::size_t point) const {
    return active[point % active.size()];
  }
};

/// The expert phase under loads as a trace routes them, uneven over experts. Held out: no cost
/// model is fitted to them, so they show how well each model predicts. Empty: not measured.
struct RoutedPoints {
  std::size_t points = 0;            ///< of a rank
  std::vector<std::int32_t> tokens;  ///< [rank][point][slot], of each of the profile's slots
  std::vector<double> latency;       ///< [rank][point] median time of the expert phase, s

  [[nodiscard]] bool empty() const { return points == 0; }
  [[nodiscard]] double& at(int rank, std::size_t point) {
    return latency[static_cast<std::size_t>(rank) * points + point];
  }
  [[nodiscard]] double at(int rank, std::size_t point) const {
    return latency[static_cast<std::size_t>(rank) * points + point];
  }
  [[nodiscard]] std::span<const std::int32_t> of(int rank, std::size_t point, int slots) const {
    const auto each = static_cast<std::size_t>(slots);
    return std::span(tokens).subspan((static_cast<std::size_t>(rank) * points + point) * each,
                                     each);
  }
};

/// Latency of every rank against load, as measured (or stated). A plain value; times in seconds.
struct Profile {
  int ranks = 0;
  /// Loads at which latency was measured: assignments to a rank in one layer, one per
  /// (token, expert). Ascending, the first is 0.
  std::vector<std::int64_t> load_points;
  std::vector<double> latency;  ///< [rank][load_point] median time of the expert phase
  std::vector<double> spread;   ///< [rank][load_point] interquartile range of the same repeats
  std::vector<double>
      overhead;  ///< [rank] time per layer that does not depend on the placement (routing, ...)
  std::vector<double> slowdown;  ///< [rank] emulated stretch contained in the numbers; 1 = none
  int slots = 0;        ///< experts that the load points' loads were spread over; 0 = unknown
  ActiveSweep active;   ///< the same expert phase with fewer experts active
  RoutedPoints routed;  ///< the same expert phase under a trace's own loads
  std::string model;    ///< shape it holds for, e.g. "gpt-oss-20b/4 f32"
  std::string device;   ///< "cpu" or "cuda", with its name
  std::string clock;    ///< "wall" or "cpu-time"

  [[nodiscard]] double at(int rank, std::size_t load_point) const {
    return latency[static_cast<std::size_t>(rank) * load_points.size() + load_point];
  }
};

/// Refuses (usage error) sizes that disagree, fewer than two load points, load points that do not
/// ascend from 0, an active sweep that does not ascend or has more experts than slots, routed
/// points of other slots, or a time that is negative, no number, above 1e30 s, or above 0 and below
/// 1e-30 s. Planners require nothing else of a profile: latency may fall with load, as measured
/// curves do.
void validate(const Profile& profile);

/// Makes all latencies of a rank `factor` times as long; overhead stays.
void stretch(Profile& profile, int rank, double factor);

/// A profile of ideal ranks of equal speed: one second per token, no overhead.
[[nodiscard]] Profile equal_ranks(int ranks, std::int64_t max_tokens);

/// What the predicted time of a rank in a layer depends on.
enum class CostKind {
  sum,         ///< the sum of its tokens: f_g(sum), the paper's model (arXiv:2605.19945)
  per_expert,  ///< each of its experts by itself: overhead_g + sum over experts of h_g(tokens).
               ///< Ours
};

/// How well a cost model reproduces the profile it was fitted to: |predicted / measured - 1| over
/// all ranks, load points (with the load spread evenly over the experts) and the active sweep.
struct FitError {
  double mean = 0;
  double worst = 0;
};

/// Predicted seconds of one layer on one rank. Every prediction, in planners and in output, uses
/// these curves as measured, dents included; they are not smoothed or made monotonic.
///
/// `sum`: overhead + latency interpolated linearly between load points, continued with the last
/// slope (0 if it falls) beyond the last load point. `per-expert`: every expert costs h_g(n),
/// h_g(0) = 0, so that active experts pay for reading their weights and for their own tiles. The
/// profile's loads were nearly even over `slots` experts, hence h_g(n) = (latency(n * slots) -
/// latency(0)) / slots, not below 0; latency(0) is overhead. An active sweep corrects that: at its
/// numbers of tokens per expert, h_g is the least-squares fit (of relative errors) to the sweep and
/// the even load; the correction is interpolated between them and constant beyond.
class CostModel {
 public:
  /// `sum`. Validates the profile and keeps what it needs of it.
  explicit CostModel(const Profile& profile);
  /// `slots`: experts that the profile's loads were spread over, if the profile does not say; only
  /// `per-expert` needs it. Usage error for less than 1.
  CostModel(const Profile& profile, CostKind kind, int slots);
  [[nodiscard]] CostKind kind() const { return kind_; }
  [[nodiscard]] int ranks() const { return ranks_; }
  /// Experts that the profile's loads were spread over; 1 with `sum`.
  [[nodiscard]] int slots() const { return slots_; }
  /// With `per-expert`: of that many tokens spread evenly over the profile's slots.
  [[nodiscard]] double seconds(int rank, std::int64_t tokens) const;
  /// `per-expert` only: h_g, what one expert with that many tokens adds.
  [[nodiscard]] double expert_seconds(int rank, std::int64_t tokens) const;
  /// `per-expert` only: tokens, ascending from 1. At whole numbers from one of these to the next,
  /// and beyond the last, h_g is the product of two straight lines, unless it is 0 at an end.
  [[nodiscard]] std::vector<std::int64_t> expert_bends() const;
  /// Seconds of a rank whose experts get these tokens, by either kind.
  [[nodiscard]] double rank_seconds(int rank, std::span<const std::int32_t> expert_tokens) const;
  /// Time for one more token far out on the curve: the slope over the whole measured range.
  [[nodiscard]] double mean_slope(int rank) const;
  [[nodiscard]] FitError fit_error() const;
  /// The profile's, overhead included.
  [[nodiscard]] const ActiveSweep& active() const { return active_; }
  [[nodiscard]] std::span<const std::int64_t> load_points() const { return load_points_; }
  /// Predicted seconds of a rank at every load point, overhead included.
  [[nodiscard]] std::span<const double> latency(int rank) const {
    return std::span(latency_).subspan(static_cast<std::size_t>(rank) * load_points_.size(),
                                       load_points_.size());
  }

 private:
  /// h_g from the load points alone.
  [[nodiscard]] double even_share(int rank, std::int64_t tokens) const;
  void correct_by_active();
  [[nodiscard]] double correction(int rank, std::int64_t tokens) const;
  [[nodiscard]] double spread_seconds(int rank, std::int64_t tokens, int experts) const;

  int ranks_;
  CostKind kind_ = CostKind::sum;
  int slots_ = 1;
  std::vector<std::int64_t> load_points_;
  std::vector<double> latency_;             // [rank][load_point], overhead included
  std::vector<double> slope_;               // [rank][load_point] of the piece that ends there
  ActiveSweep active_;                      // overhead included
  std::vector<std::int64_t> corrected_at_;  // tokens per expert, ascending
  std::vector<double> correction_;          // [rank][corrected_at_] of even_share
};

}  // namespace gembench::inline speeds
