#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "placement/loads/power_law_fit.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// Thresholds of the analysis. GEM (arXiv:2605.19945) is known second-hand: consistent experts are
/// used in 85 % of steps, temporal ones in about 17 % with about 3 times the tokens. The choice of
/// thresholds, and everything about groups, is ours.
struct TraceInfoOptions {
  /// An expert is used in a step when it gets more than this share of the layer's mean load per
  /// expert; 0 = any token. Large batches give every expert a token: raise it there.
  double used_above = 0;
  double consistent_duty = 0.85;  ///< consistent: used in at least this share of steps
  double temporal_duty = 0.17;    ///< temporal: used in at most `about` times this share, and with
  double temporal_burst = 3;      ///< at least 1/`about` times this multiple of the mean load
  double about = 2;               ///< what "about" means
  /// An expert fires in a step when it gets more than this multiple of its own mean over all steps.
  double fire_above = 1.5;
  /// Two experts of a layer fire together when the steps in which both fire are at least this share
  /// of the steps in which one does (Jaccard index).
  double fire_together = 0.5;
  int fire_least =
      4;  ///< steps; an expert that fires less often is in no group, since it may be chance
  double fire_most = 0.5;  ///< share of steps; an expert that fires more often does not burst
  int most_tasks = 16;     ///< tasks compared with each other: those with the most steps
};

enum class ExpertKind : std::uint8_t { consistent, temporal, other };

/// Statistics of the loads of one layer.
struct LayerInfo {
  double skew = 1;               ///< hottest expert over mean, of loads summed over steps
  double step_skew = 1;          ///< the same within a step, mean over steps
  double largest_step_skew = 1;  ///< and its maximum
  std::vector<double> duty;      ///< [expert] share of steps in which it is used
  std::vector<double>
      burst;  ///< [expert] tokens when used over the mean load per expert; 0 = never
  std::vector<ExpertKind> kind;  ///< [expert]
  /// Experts that fire together: connected components of the pairs that do, two experts or more,
  /// ascending, ordered by their first.
  std::vector<std::vector<int>> groups;
};

/// How much the shares of load that experts get differ between two sets of steps, over layers.
struct LoadDrift {
  int from = 0;  ///< task label, or number of the half
  int to = 0;
  double correlation = 1;  ///< Pearson's over experts, mean over layers
  double variation = 0;    ///< total variation: share of load that moved, mean over layers
  double largest_variation = 0;
  int layer = 0;  ///< where that is
};

/// Statistics of the loads of a trace.
struct TraceInfo {
  std::vector<LayerInfo> layers;
  double skew = 1;  ///< mean over layers, like the next
  double step_skew = 1;
  double largest_step_skew = 1;
  double consistent = 0;      ///< share of all (layer, expert) that are consistent
  double temporal = 0;        ///< share that are temporal
  double temporal_duty = 0;   ///< mean over them; 0 = there are none
  double temporal_burst = 0;  ///< mean over them; 0 = there are none
  int groups = 0;             ///< over all layers
  double grouped = 0;         ///< share of all (layer, expert) in a group
  /// First half of the steps against the second; none for a trace of one step.
  std::optional<LoadDrift> halves;
  /// Even steps against odd ones: the apparent drift by chance and sampling alone.
  std::optional<LoadDrift> chance;
  std::optional<PowerLawFit> power_law;  ///< of the loads summed over steps
  std::vector<LoadDrift> tasks;          ///< every pair of tasks with a load, by label
};

/// Statistics of the loads of a trace. A pure function; validates the trace (usage error) and
/// refuses options that are negative, NaN or, for shares, above 1.
[[nodiscard]] TraceInfo trace_info(const Trace& trace, const TraceInfoOptions& options = {});

}  // namespace gembench::inline loads
