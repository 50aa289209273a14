#pragma once

#include <functional>
#include <string_view>

#include "placement/base/random.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {

/// All replicas, in quarters.
inline constexpr int kAllQuarters = 4;

/// One layer's planner: must depend only on its arguments.
using PlanLayer = std::function<Assignment(const LayerProblem&, const Random&)>;

/// Plans every layer by itself on up to `threads` threads (0: one per CPU). The generator a layer
/// gets depends on seed, `salt` and layer only. With replicas asked for, the
/// objective chooses how many of them are used; `quick` then compares numbers of them and is
/// `plan_layer` where it is not given, and `first` quarters of the replicas is the least number
/// (fewer only where so many find no ranks of their own).
[[nodiscard]] Placement plan_layers(const PlanInput& input, std::string_view strategy,
                                    std::uint64_t salt, int threads, const PlanLayer& plan_layer,
                                    const PlanLayer& quick = nullptr, int first = 0);

}  // namespace gembench::inline strategies
