#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/statistics/interval.hpp"
#include "results/run_reader.hpp"

namespace gembench::inline report {

/// A placement's times in a run against those in an earlier run of the same command, over the steps
/// that both measured. All differences are fractions of the earlier time.
struct PlacementSince {
  std::string placement;
  double before = 0, now = 0;  ///< s, mean step time of each run
  Difference step_time;        ///< the 95 % hold for all placements together
  /// [rank] time in route and experts. The 95 % hold for all ranks together. Empty where ranks
  /// hold other experts than in the earlier run, or phases were not timed.
  std::vector<Difference> ranks;
};

/// What a limit says of a difference: all of its interval lies above, none of it does, or neither.
enum class SinceWord { slower, not_slower, open };
/// Without an interval it is open.
[[nodiscard]] SinceWord judge(const Difference& step_time, double limit);
/// "slower", "not slower", "open".
[[nodiscard]] const char* name_of(SinceWord word);

/// The limit where none is stated. Launches of one command differ by a few percent beyond the noise
/// within them (OUTPUT.md), which intervals of two runs do not contain. Ours.
inline constexpr double kUsualLimit = 0.05;

/// A run against an earlier one of the same command: its baseline.
struct Regression {
  std::string old_file, new_file, old_started, new_started;
  std::optional<double> fail_above;     ///< fraction
  std::vector<std::string> rank_names;  ///< [rank] "rank 2 (node-3)"
  /// [rank] texts by name, of the later run: "host", "gpu_uuid", ...
  std::map<std::string, std::vector<std::string>> rank_facts;
  std::vector<PlacementSince> placements;
  std::vector<std::string> notes;  ///< what else differs, and noise: sentences

  [[nodiscard]] double limit() const { return fail_above.value_or(kUsualLimit); }
};

/// A results file and its name.
struct NamedRun {
  std::string path;
  const RunReader& file;
};
/// Step by step, over the same loads: step times of both runs are compared by paired_difference(),
/// with the later run's blocks. Their noise is independent, so the pairs carry both. Usage error
/// where the runs are not of one command (but for --placements), of other loads, ranks, device or
/// clock, are incomplete, have wrong outputs or no placement in common. Programs and nodes may
/// differ: a note says so. `fail_above`: %.
[[nodiscard]] Regression regression_of(const NamedRun& old, const NamedRun& now,
                                       std::optional<double> fail_above);

/// The finding in a sentence: whether it is slower, since when, and which rank slowed down.
[[nodiscard]] std::string sentence_of(const Regression& regression);
/// A limit was stated, and some placement is certainly above it.
[[nodiscard]] bool has_failed(const Regression& regression);

}  // namespace gembench::inline report
