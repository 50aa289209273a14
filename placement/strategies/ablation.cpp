#include "placement/strategies/ablation.hpp"

#include "placement/cost/expert_sums.hpp"

namespace gembench::inline strategies {

std::array<AblationRow, 4> ablation(const PlanInput& input, const Trace& judged,
                                    const CostModel& truth, Placement (*plan)(const PlanInput&)) {
  const auto mean = summed_steps(input.trace);
  const auto equal = equal_speeds(input.cost, input.cost.ranks());
  std::array<AblationRow, 4> rows;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto& row = rows[i];
    row.per_step = i / 2;
    row.measured_speed = i % 2;
    const auto& speeds = row.measured_speed ? input.cost : equal;
    const auto known = row.per_step ? speeds : over_steps(speeds, input.trace.steps);
    const auto placement = plan(input.with(row.per_step ? input.trace : mean, known));
    row.score = score(judged, placement, truth, nullptr, input.split);
  }
  return rows;
}

}  // namespace gembench::inline strategies
