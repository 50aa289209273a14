#pragma once

#include <cstdint>
#include <vector>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

// Planners that use only mean loads work on sums over the steps, which are exact: the sums of T
// steps are used with the cost model of T steps, so nothing is rounded if an expert gets less than
// a token per step.

/// [layer][expert]: tokens over all steps. Usage error for a trace without steps, with counts below
/// zero, or whose sizes disagree with its array. `threads`: at most; 0 = one per CPU.
[[nodiscard]] std::vector<std::int64_t> expert_sums(const Trace& trace, int threads = 1);

/// The whole trace as one step whose loads are the sums. Usage error as expert_sums, and where a
/// sum does not fit the 32 bits of a trace.
[[nodiscard]] Trace summed_steps(const Trace& trace);

/// The cost of a load that is the sum over `steps` equal steps: seconds(x) of the result is
/// cost.seconds(x / steps), also between whole tokens.
[[nodiscard]] CostModel over_steps(const CostModel& cost, int steps);

/// Rejects (usage error naming it) a rank that takes no time at the profile's largest load: it has
/// no speed and would get every expert.
void require_speeds(const CostModel& cost);

/// `ranks` ranks that are all as fast as those of `cost` on average: their mean time at every load
/// point. Ours: the meaning of "equal speeds" wherever load and speed are separated. Usage error as
/// require_speeds.
[[nodiscard]] CostModel equal_speeds(const CostModel& cost, int ranks);

}  // namespace gembench::inline cost
