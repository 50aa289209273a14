#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/report/comparison.hpp"

namespace gembench::inline report {

/// With fewer launches, the difference between launches cannot be estimated.
inline constexpr int kLeastLaunches = 3;

/// A relative difference over several launches of one configuration; fractions.
struct PooledDifference {
  double mean = 0, typical = 0;     ///< geometric means over launches of 1 + each launch's value
  std::optional<double> low, high;  ///< 95 % interval of `typical`
  int launches = 0;
  double between = 0;  ///< standard deviation of the launches' log(1 + typical)
  std::optional<double>
      within;  ///< the part of it that noise within launches explains; none: unknown
};

/// Launches are one sample each: Student's t on their log(1 + typical), with a standard error no
/// smaller than the noise within launches alone would give (the Hartung-Knapp interval of a
/// random-effects mean in the form of Röver, Knapp and Friede, BMC Medical Research Methodology
/// 2015). All launches have the same weight. The 95 % hold for `comparisons` intervals together
/// (Bonferroni). No interval below kLeastLaunches.
[[nodiscard]] PooledDifference pooled_difference(std::span<const Difference> launches,
                                                 int comparisons);

/// One results file as read by `compare`.
struct LaunchRun {
  std::string path;
  bool completed = false;
  bool correct = true;  ///< its outputs, where they were checked
  RunInfo info;         ///< without its large arrays
  Comparison comparison;
};
[[nodiscard]] LaunchRun launch_of(const std::string& path, const RunReader& file,
                                  const Comparison& comparison);

/// The first difference that makes two files not launches of one configuration: "a.h5 has --tokens
/// 512 and b.h5 256". None: they are. Seed, nodes and time do not matter; loads matter if the seed
/// is the same or they come from a file.
[[nodiscard]] std::optional<std::string> why_not_pooled(const LaunchRun& a, const LaunchRun& b);

/// The pooled result of several files. Empty for one file.
struct PooledPair {
  std::string placement, reference;
  PooledDifference step_time;
};
struct PooledRuns {
  std::vector<std::string> paths;
  std::vector<std::uint64_t> seeds;
  std::vector<PooledPair> pairs;
  bool in_sample = false;               ///< planned on the measured steps
  std::vector<std::string> notes = {};  ///< sentences: what differs between the launches
};
struct Pooling {
  std::vector<PooledRuns> groups;       ///< of two launches and more
  std::vector<std::string> not_pooled;  ///< sentences: files that were left out, and why
};
[[nodiscard]] Pooling pool(const std::vector<LaunchRun>& launches);

}  // namespace gembench::inline report
