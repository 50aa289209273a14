#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "placement/speeds/profile.hpp"

namespace gembench::inline speeds {

/// Measurements of a set of real GPUs that ran the same job.
struct BuiltinSlowdowns {
  std::string_view name;     ///< "v100-sgemm"
  std::string_view summary;  ///< for people: machine, job, number of GPUs
};

/// The available sets. The differences between GPUs depend on the job: they are large for
/// compute-bound work and small for memory-bound work (pagerank).
[[nodiscard]] std::span<const BuiltinSlowdowns> builtin_slowdown_sets();

/// [rank] slowdowns drawn independently from the quantiles of a set: run time over that of the
/// median GPU, so values below 1 are faster ones. Linear between quantiles, which makes a single
/// outlier milder: among 128 of v100-sgemm slowest / fastest - 1 is 21 % at the 90 % quantile, 26 %
/// when drawn from the GPUs themselves. In reality, GPUs of a node differ less than independent
/// draws. A pure function of its arguments; values for more ranks continue those for fewer. Usage
/// error for an unknown name (listing the names there are) or fewer than 1 rank.
[[nodiscard]] std::vector<double> builtin_slowdowns(std::string_view name, int ranks,
                                                    std::uint64_t seed);

/// Stretches the latencies (and their spread) of every rank by its slowdown and notes it in
/// `profile.slowdown`; `overhead` stays. A share `floor` in [0, 1] of each rank's smallest latency
/// at a load above 0 is not stretched: memory-bound time, in which slow GPUs lose little. 0 = the
/// whole curve is stretched, 1 = only what lies above its smallest value. Usage error for a number
/// of slowdowns that is not that of the ranks, one that is not positive and finite, or another
/// floor. Validates the profile.
void apply_slowdown(Profile& profile, std::span<const double> slowdowns, double floor = 0);

}  // namespace gembench::inline speeds
