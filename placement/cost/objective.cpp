#include "placement/cost/objective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "placement/base/checked_sizes.hpp"
#include "placement/cost/token_split.hpp"

namespace gembench::inline cost {
void require_same_shape(const Trace& trace, const Placement& placement) {
  if (trace.layers != placement.layers || trace.experts != placement.experts)
    throw usage_error(
        fmt::format("the placement is for {} layers of {} experts, the trace has {} of "
                    "{}; use those that belong together",
                    placement.layers, placement.experts, trace.layers, trace.experts));
}

void require_same_ranks(const Placement& placement, const CostModel& cost) {
  if (cost.ranks() != placement.ranks)
    throw usage_error(
        fmt::format("the placement is for {} ranks, the profile for {}; use those that "
                    "belong together",
                    placement.ranks, cost.ranks()));
}

std::vector<std::int64_t> rank_loads(const Trace& trace, const Placement& placement,
                                     const SplitSpec& spec) {
  require_same_shape(trace, placement);
  const TokenSplit split(placement, spec);
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  std::vector<std::int64_t> loads(
      checked_product({trace.steps, trace.layers, placement.ranks}, "the table of rank loads"));
  auto row = std::span(loads);
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer, row = row.subspan(ranks))
      split.rank_loads(trace, step, layer, row.first(ranks));
  return loads;
}

void rank_seconds(const CostModel& cost, std::span<const std::int64_t> loads,
                  std::span<double> seconds) {
  for (std::size_t rank = 0; rank < loads.size(); ++rank)
    seconds[rank] = cost.seconds(static_cast<int>(rank), loads[rank]);
}

void rank_seconds(const CostModel& cost, std::span<const std::int64_t> loads,
                  std::span<const std::int64_t> slots, std::span<double> seconds) {
  if (cost.kind() == CostKind::sum) return rank_seconds(cost, loads, seconds);
  const auto each = slots.size() / seconds.size();
  for (std::size_t rank = 0; rank < seconds.size(); ++rank) {
    const int r = static_cast<int>(rank);
    seconds[rank] = cost.seconds(r, 0);
    for (const auto tokens : slots.subspan(rank * each, each))
      seconds[rank] += cost.expert_seconds(r, tokens);
  }
}

void rank_seconds(const CostModel& cost, const TokenSplit& split, const Trace& trace, int step,
                  int layer, std::span<double> seconds) {
  const bool sum = cost.kind() == CostKind::sum;
  std::vector<std::int64_t> loads(seconds.size() *
                                  (sum ? 1 : static_cast<std::size_t>(split.slots())));
  if (sum) {
    split.rank_loads(trace, step, layer, loads);
    rank_seconds(cost, loads, seconds);
  } else {
    split.slot_loads(trace, step, layer, loads);
    rank_seconds(cost, {}, loads, seconds);
  }
}

std::vector<double> predicted_layer_seconds(const Trace& trace, const Placement& placement,
                                            const CostModel& cost, const SplitSpec& spec,
                                            const std::function<void()>& pulse) {
  require_same_shape(trace, placement);
  require_same_ranks(placement, cost);
  const TokenSplit split(placement, spec);
  std::vector<double> of_ranks(static_cast<std::size_t>(placement.ranks));  // may be thousands
  std::vector<double> seconds;
  for (int step = 0; step < trace.steps; ++step) {
    if (pulse) pulse();
    for (int layer = 0; layer < trace.layers; ++layer) {
      rank_seconds(cost, split, trace, step, layer, of_ranks);
      seconds.push_back(*std::max_element(of_ranks.begin(), of_ranks.end()));
    }
  }
  return seconds;
}

double objective(const Trace& trace, const Placement& placement, const CostModel& cost,
                 const SplitSpec& split, const std::function<void()>& pulse) {
  const auto seconds = predicted_layer_seconds(trace, placement, cost, split, pulse);
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

}  // namespace gembench::inline cost
