#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// Fewer launches tell nothing of how launches differ.
inline constexpr int kLeastLaunches = 3;

/// A relative difference over several launches of one configuration; fractions.
struct PooledDifference {
  double mean = 0, typical = 0;     ///< geometric means over launches of 1 + what each found
  std::optional<double> low, high;  ///< 95 % interval of `typical`
  int launches = 0;
  double between = 0;            ///< standard deviation of the launches' log(1 + typical)
  std::optional<double> within;  ///< of that, what noise within launches makes; none: not known
};

/// Launches are one sample each: Student's t on their log(1 + typical), with a standard error no
/// smaller than the noise within launches alone would give (the Hartung-Knapp interval of a
/// random-effects mean in the form of Röver, Knapp and Friede, BMC Medical Research Methodology
/// 2015). Launches weigh the same. `comparisons` intervals hold together (Bonferroni). No interval
/// below kLeastLaunches.
[[nodiscard]] PooledDifference pooled_difference(std::span<const Difference> launches,
                                                 int comparisons);

/// One results file as `compare` has read it.
struct LaunchRun {
  std::string path;
  bool completed = false;
  RunInfo info;  ///< without its large arrays
  Comparison comparison;
};
[[nodiscard]] LaunchRun launch_of(const std::string& path, const RunReader& file,
                                  const Comparison& comparison);

/// Why two files are not two launches of one configuration, the first difference: "a.h5 has
/// --tokens 512 and b.h5 256". None: they are. Seed, nodes and when it was do not matter; loads do
/// where the seed is the same or they come from a file.
[[nodiscard]] std::optional<std::string> why_not_pooled(const LaunchRun& a, const LaunchRun& b);

/// What several files say together. Empty where there is one file.
struct PooledPair {
  std::string placement, reference;
  PooledDifference step_time;
};
struct PooledRuns {
  std::vector<std::string> paths;
  std::vector<std::uint64_t> seeds;
  std::vector<PooledPair> pairs;
};
struct Pooling {
  std::vector<PooledRuns> groups;       ///< of two launches and more
  std::vector<std::string> not_pooled;  ///< sentences: files that were left out, and why
};
[[nodiscard]] Pooling pool(const std::vector<LaunchRun>& launches);

}  // namespace gembench::inline report
