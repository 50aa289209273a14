#include "placement/per_step/step_score.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "placement/cost/objective.hpp"

namespace gembench::inline per_step {

StepScore score_per_step(const Trace& trace, const StepSystem& system, const StepInput& input,
                         const Placement* from) {
  require_same_shape(trace, input.placement);
  const PreparedSystem prepared = system.prepare(input);
  std::atomic<std::int64_t> fetched = 0;
  std::atomic<std::int64_t> most = 0;
  const SlotLoads loads = [&](int step, int layer, std::span<std::int64_t> slots) {
    thread_local StepPlan plan;
    prepared.plan(trace.loads(step, layer), layer, plan);
    std::copy(plan.tokens.begin(), plan.tokens.end(), slots.begin());
    fetched += std::accumulate(plan.fetched.begin(), plan.fetched.end(), std::int64_t{0});
    most += *std::max_element(plan.fetched.begin(), plan.fetched.end());
  };
  StepScore result;
  result.score = score(trace, prepared.base, input.cost, from, loads);
  result.fetched = static_cast<double>(fetched) / trace.steps;
  result.most_fetched = static_cast<double>(most) / trace.steps;
  return result;
}

}  // namespace gembench::inline per_step
