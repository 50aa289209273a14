#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/report/energy.hpp"
#include "harness/statistics/interval.hpp"
#include "harness/statistics/summary_interval.hpp"
#include "results/run_reader.hpp"
#include "results/run_summary.hpp"

namespace gembench::inline report {

/// A change of a placement that adapts.
struct PlacementChange {
  int after_step = 0;  ///< last measured step before it
  ReplanRecord what;
};

/// One row of the comparison: the numbers of kSummaries, by key. Seconds of the run's clock; NaN =
/// not available with this clock or in an unfinished file.
struct PlacementSummary {
  std::string label;
  std::array<double, kSummaries.size()> values{};
  std::array<std::optional<Interval>, kSummaries.size()> intervals;  ///< none: steps are too few
  std::vector<double> last_share;  ///< [rank] share of (step, layer) in which it arrives last
  std::vector<PlacementChange> changes;

  double& operator[](SummaryKey key) { return values[key.place]; }
  double operator[](SummaryKey key) const { return values[key.place]; }
  /// By the cost model "sum" or "per-expert".
  [[nodiscard]] double predicted_by(std::string_view model) const {
    return (*this)[model == "per-expert" ? SummaryKey("predicted_by_experts")
                                         : SummaryKey("predicted")];
  }
};

/// A placement's step time against another's, over the same steps.
struct PairDifference {
  int placement = 0, reference = 0;
  Difference step_time;
};

/// Everything that table, CSV and JSON show.
struct Comparison {
  std::vector<PlacementSummary> placements;
  std::vector<PairDifference>
      pairs;  ///< ascending by placement; the 95 % hold for all intervals together
  /// [rank] how much longer the expert phase took after the run than in its profile: median over
  /// loads of after / before - 1. Empty when it was not taken again.
  std::vector<double> drift;
  std::vector<PairDifference> every_pair;  ///< each with each; the 95 % hold for all of these
  RunEnergy energy = {};

  [[nodiscard]] const std::string& label(int placement) const {
    return placements[static_cast<std::size_t>(placement)].label;
  }
  /// The placement's first pair; null if it is not compared.
  [[nodiscard]] const PairDifference* pair_of(int placement) const;
};

/// compare's --against: every placement with every other.
inline constexpr const char* kAgainstAll = "all";

inline constexpr int kStepsAtOnce = 64;  ///< that are read from a file into memory

/// A file summarised as one row per placement, with the step times for the differences.
struct ReducedRun {
  std::vector<PlacementSummary> placements;
  std::vector<std::vector<double>> step_times;    ///< [placement][step] s; NaN = not measured
  std::vector<std::vector<std::int64_t>> blocks;  ///< [placement][step]; -1 = not measured
  std::vector<double> drift;                      ///< as Comparison::drift
  RunEnergy energy = {};
};

/// Works step by step: only the sums per step grow with the number of steps. `non_moe_time` seconds
/// per layer are added to the step time.
[[nodiscard]] ReducedRun reduce(const RunReader& file, double non_moe_time);

/// Compares placements with the one labelled `against` (empty: the first), or each with each
/// (kAgainstAll); usage error for an unknown label. The 95 % hold for all intervals of `pairs`
/// together.
[[nodiscard]] Comparison compare(const ReducedRun& run, const std::string& against = "");
[[nodiscard]] Comparison compare(const RunReader& file, double non_moe_time,
                                 const std::string& against = "");

/// The summary as stored in the file: differences between all placements. The 95 % hold for all
/// differences against the first placement together, as they are printed; else for those between
/// all placements together, as the verdict has them.
[[nodiscard]] RunSummary summary_of(const ReducedRun& run);

}  // namespace gembench::inline report
