#include "placement/strategies/replan_policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/objective.hpp"
#include "placement/loads/joined_traces.hpp"

namespace gembench::inline strategies {
namespace {

/// [layer] s per step, mean.
std::vector<double> layer_means(const Trace& trace, const Placement& placement,
                                const CostModel& cost, const SplitSpec& split) {
  const auto seconds = predicted_layer_seconds(trace, placement, cost, split);
  std::vector<double> means(sz(trace.layers), 0);
  for (std::size_t i = 0; i < seconds.size(); ++i)
    means[i % means.size()] += seconds[i] / trace.steps;
  return means;
}

/// Every other step from `first` on; counts are all that times depend on.
Trace every_other(const Trace& trace, int first) {
  Trace half = counts_only(trace);
  half.tokens.clear();
  half.steps = 0;
  const auto row = sz(trace.layers) * sz(trace.experts);
  for (int step = first; step < trace.steps; step += 2, ++half.steps) {
    const auto* from = trace.loads(step, 0).data();
    half.tokens.insert(half.tokens.end(), from, from + row);
  }
  return half;
}

/// What a plan on `seen` makes of the placement in use: its layers that pay.
PolicyPart adopt(const ReplanPolicy& policy, const Trace& seen, const CostModel& cost,
                 const Placement& now, const Replanner& again) {
  const Placement next = again(seen, now);
  const Placement trial = again(every_other(seen, 0), now);
  for (const Placement* plan : {&next, &trial}) {
    if (plan->slots != now.slots)
      throw usage_error(fmt::format(
          "a replanning has {} slots per rank and the placement in use {}: plan both alike",
          plan->slots, now.slots));
    validate(*plan);
    require_no_repeats(*plan);
  }
  const Trace unseen = every_other(seen, 1);
  const auto before = layer_means(unseen, now, cost, policy.split);
  const auto after = layer_means(unseen, trial, cost, policy.split);
  PolicyPart part{0, now};
  for (int layer = 0; layer < now.layers; ++layer) {
    std::int64_t moves = 0, most = 0;
    for (int rank = 0; rank < now.ranks; ++rank) {
      const auto received = count_received(now, next, layer, rank);
      moves += received;
      most = std::max(most, received);
    }
    const auto seconds = static_cast<double>(most) * policy.move_seconds;
    if (!((before[sz(layer)] - after[sz(layer)]) * policy.every > seconds)) continue;
    part.moves += moves;
    part.seconds += seconds;
    for (int rank = 0; rank < now.ranks; ++rank)
      std::ranges::copy(next.on_rank(layer, rank), part.placement.on_rank(layer, rank).begin());
  }
  return part;
}

}  // namespace

std::vector<PolicyPart> follow(const ReplanPolicy& policy, const Trace& planned,
                               const Trace& judged, const CostModel& cost, const Placement& first,
                               const Replanner& again) {
  if (policy.every < 1 || policy.every > judged.steps)
    throw usage_error(
        fmt::format("replanning every {} steps does not suit {} judged steps: replan every 1 to {}",
                    policy.every, judged.steps, judged.steps));
  if (planned.steps < 2)
    throw usage_error("a policy tries plans on half of the steps planned on: plan on at least 2");
  validate(first);
  require_no_repeats(first);
  std::vector<PolicyPart> parts{{0, first}};
  Trace seen = planned;
  for (int step = policy.every; step < judged.steps; step += policy.every) {
    seen = joined(std::move(seen), slice(judged, step - policy.every, policy.every));
    seen = slice(seen, seen.steps - planned.steps, planned.steps);
    const Placement& now = parts.back().placement;
    PolicyPart part = adopt(policy, seen, cost, now, again);
    if (part.placement.slot_expert == now.slot_expert) continue;
    part.first = step;
    parts.push_back(std::move(part));
  }
  return parts;
}

Score score(const Trace& judged, const std::vector<PolicyPart>& parts, const CostModel& cost,
            const Placement* from, const SplitSpec& split) {
  std::vector<TokenSplit> rules;
  for (const PolicyPart& part : parts) {
    require_same_shape(judged, part.placement);
    rules.emplace_back(part.placement, split);
  }
  return score(judged, parts.at(0).placement, cost, from,
               [&](int step, int layer, std::span<std::int64_t> slots) {
                 const auto after = std::ranges::upper_bound(parts, step, {}, &PolicyPart::first);
                 rules[sz(after - parts.begin() - 1)].slot_loads(judged, step, layer, slots);
               });
}

}  // namespace gembench::inline strategies
