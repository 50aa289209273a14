#pragma once

#include <cstdint>
#include <vector>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

// Planners that look at mean loads only work on sums over the steps, which are exact: with the sums
// of T steps goes the cost model of T steps, so nothing is rounded where an expert gets less than a
// token a step.

/// [layer][expert]: tokens over all steps. Usage error for a trace without steps, with counts below
/// zero, or whose sizes disagree with its array.
[[nodiscard]] std::vector<std::int64_t> expert_sums(const Trace& trace);

/// The whole trace as one step whose loads are the sums. Usage error as expert_sums, and where a
/// sum does not fit the 32 bits of a trace.
[[nodiscard]] Trace summed_steps(const Trace& trace);

/// The cost of a load that is the sum over `steps` equal steps: seconds(x) of the result is
/// cost.seconds(x / steps), also between whole tokens.
[[nodiscard]] CostModel over_steps(const CostModel& cost, int steps);

/// Refuses (usage error naming it) a rank that takes no time at the profile's largest load: without
/// a speed it would get everything.
void require_speeds(const CostModel& cost);

/// `ranks` ranks that are all as fast as those of `cost` on average: their mean time at every load
/// point. Ours: what "equal speeds" means wherever load and speed are told apart. Usage error as
/// require_speeds.
[[nodiscard]] CostModel equal_speeds(const CostModel& cost, int ranks);

}  // namespace gembench::inline cost
