#pragma once

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// A lower bound on objective() for any placement with `slots` slots per rank (0 = experts/ranks),
/// even one that changes every step. Per (step, layer) the largest of (bound.cpp says which of
/// these hold with spare slots and replicas)
///  - all work split arbitrarily so that ranks finish together,
///  - the hottest expert on the rank where it is cheapest, with the lightest others that must come,
///  - the lightest experts alone on the rank where they are dearest,
///  - two of the ranks + 1 hottest experts, and three of the 2 ranks + 1 hottest, which must share
///    a rank, where that is cheapest.
/// With cost model `per-expert` the first is the mean over ranks of what the experts cost where and
/// split as that is cheapest, and the last two are left out.
[[nodiscard]] double lower_bound(const Trace& trace, const CostModel& cost, int slots = 0);

/// Seconds of all steps and layers if tokens could be shared out at will, without any experts. With
/// cost model `per-expert` as if a rank's tokens were spread evenly over its experts.
struct PerfectBalance {
  double tokens = 0;  ///< every rank gets as many, rounded up: MoonEP's aim
  double time = 0;    ///< all ranks finish together
};
[[nodiscard]] PerfectBalance perfect_balance(const Trace& trace, const CostModel& cost);

}  // namespace gembench::inline cost
