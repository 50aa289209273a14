#include "placement/cost/score.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <numeric>
#include <span>

#include "placement/base/error.hpp"
#include "placement/base/parallel.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/bound.hpp"
#include "placement/cost/expert_sums.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/token_split.hpp"

namespace gembench::inline cost {

namespace {

/// What one step loses, summed over its layers.
struct StepSums {
  double seconds = 0;
  double imbalance = 0;
  double straggle = 0;
  double straggle_load = 0;
};

/// What is counted over many steps.
struct Counts {
  std::vector<std::int64_t> tokens;   // [layer][rank]
  std::vector<std::int64_t> slowest;  // [rank] how often it is

  void add(const Counts& other) {
    std::transform(tokens.begin(), tokens.end(), other.tokens.begin(), tokens.begin(),
                   std::plus<>());
    std::transform(slowest.begin(), slowest.end(), other.slowest.begin(), slowest.begin(),
                   std::plus<>());
  }
};

struct Gathered {
  std::vector<StepSums> steps;
  Counts counts;
};

/// The average time that the others wait for the slowest rank.
double lost(std::span<const double> seconds) {
  const auto all = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return *std::max_element(seconds.begin(), seconds.end()) -
         all / static_cast<double>(seconds.size());
}

Counts no_counts(const Trace& trace, std::size_t ranks) {
  return {std::vector<std::int64_t>(static_cast<std::size_t>(trace.layers) * ranks, 0),
          std::vector<std::int64_t>(ranks, 0)};
}

/// Steps [first, end): their sums into `steps`, their counts returned.
Counts gather_steps(const Trace& trace, const Placement& placement, const SlotLoads& slot_loads,
                    const CostModel& cost, const CostModel& equal, int first, int end,
                    std::vector<StepSums>& steps) {
  const auto ranks = static_cast<std::size_t>(placement.ranks);
  const auto each = static_cast<std::size_t>(placement.slots);
  Counts counts = no_counts(trace, ranks);
  std::vector<std::int64_t> slots(ranks * each);
  std::vector<std::int64_t> loads(ranks);
  std::vector<double> seconds(ranks);
  std::vector<double> equal_seconds(ranks);
  for (int step = first; step < end; ++step) {
    StepSums& sums = steps[static_cast<std::size_t>(step)];
    for (int layer = 0; layer < trace.layers; ++layer) {
      slot_loads(step, layer, slots);
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const auto own = std::span(slots).subspan(rank * each, each);
        loads[rank] = std::accumulate(own.begin(), own.end(), std::int64_t{0});
      }
      rank_seconds(cost, loads, slots, seconds);
      rank_seconds(equal, loads, slots, equal_seconds);
      const auto slowest = std::max_element(seconds.begin(), seconds.end());
      ++counts.slowest[static_cast<std::size_t>(slowest - seconds.begin())];
      sums.seconds += *slowest;
      sums.straggle += lost(seconds);
      sums.straggle_load += lost(equal_seconds);
      sums.imbalance += imbalance(loads);
      auto* summed = counts.tokens.data() + static_cast<std::size_t>(layer) * ranks;
      for (std::size_t rank = 0; rank < ranks; ++rank) summed[rank] += loads[rank];
    }
  }
  return counts;
}

/// In blocks of steps on all CPUs: whole numbers can be added in any order, and other values stay
/// separate by step.
Gathered gather(const Trace& trace, const Placement& placement, const SlotLoads& loads,
                const CostModel& cost) {
  constexpr int kBlocks = 16;  // more threads would each need a table of layers * ranks
  const auto equal = equal_speeds(cost, placement.ranks);
  Gathered all{std::vector<StepSums>(static_cast<std::size_t>(trace.steps)),
               no_counts(trace, static_cast<std::size_t>(placement.ranks))};
  std::mutex adding;
  parallel_for(std::min(kBlocks, trace.steps), 0, [&](int block) {
    const auto begin_of = [&](int b) {
      return static_cast<int>(std::int64_t{trace.steps} * b / std::min(kBlocks, trace.steps));
    };
    const Counts counts = gather_steps(trace, placement, loads, cost, equal, begin_of(block),
                                       begin_of(block + 1), all.steps);
    const std::lock_guard lock(adding);
    all.counts.add(counts);
  });
  return all;
}

}  // namespace

Score score(const Trace& trace, const Placement& placement, const CostModel& cost,
            const Placement* from, const SplitSpec& split) {
  require_same_shape(trace, placement);
  const TokenSplit rule(placement, split);
  return score(trace, placement, cost, from,
               [&](int step, int layer, std::span<std::int64_t> slots) {
                 rule.slot_loads(trace, step, layer, slots);
               });
}

Score score(const Trace& trace, const Placement& placement, const CostModel& cost,
            const Placement* from, const SlotLoads& loads) {
  require_same_shape(trace, placement);
  require_same_ranks(placement, cost);
  if (trace.steps < 1) throw usage_error("the trace has no steps to judge a placement on");
  const auto gathered = gather(trace, placement, loads, cost);
  const auto steps = static_cast<double>(trace.steps);
  const auto rows = steps * trace.layers;
  Score result;
  StepSums sums;
  for (const StepSums& step : gathered.steps) {
    result.step_seconds.push_back(step.seconds);
    sums.seconds += step.seconds;
    sums.imbalance += step.imbalance;
    sums.straggle += step.straggle;
    sums.straggle_load += step.straggle_load;
  }
  result.step_mean = sums.seconds / steps;
  result.step_p50 = quantile(result.step_seconds, 0.5);
  result.step_p99 = quantile(result.step_seconds, 0.99);
  result.bound = lower_bound(trace, cost, placement.slots) / steps;
  const bool none = result.bound <= 0 && result.step_mean > 0;  // nothing useful is known
  result.gap = none                ? std::numeric_limits<double>::quiet_NaN()
               : result.bound <= 0 ? 0
                                   : result.step_mean / result.bound - 1;
  const PerfectBalance balance = perfect_balance(trace, cost);
  result.balance = {balance.tokens / steps, balance.time / steps};
  const auto ranks = static_cast<std::ptrdiff_t>(placement.ranks);
  const auto& tokens = gathered.counts.tokens;
  for (auto layer = tokens.begin(); layer != tokens.end(); layer += ranks)
    result.aggregate_imbalance += imbalance({layer, layer + ranks}) / trace.layers;
  result.step_imbalance = sums.imbalance / rows;
  const auto& slowest = gathered.counts.slowest;
  const auto most = std::max_element(slowest.begin(), slowest.end());
  result.straggler = static_cast<int>(most - slowest.begin());
  result.straggler_share = static_cast<double>(*most) / rows;
  result.straggle = sums.straggle / steps;
  result.straggle_load = sums.straggle_load / steps;
  result.straggle_speed = result.straggle - result.straggle_load;
  // Equal ranks: what is left of the sums is rounding.
  if (std::abs(result.straggle_speed) < 1e-9 * result.straggle) result.straggle_speed = 0;
  result.duplicates = count_duplicates(placement);
  if (from) result.moves = count_moves(*from, placement);
  return result;
}

HeldOut hold_out(const Trace& trace, double share) {
  if (!(share > 0 && share < 1))
    throw usage_error(
        fmt::format("{} is no share of the steps to plan on; use one between 0 and 1", share));
  if (trace.steps < 2)
    throw usage_error(fmt::format("{} steps cannot be split; record at least 2", trace.steps));
  const auto plan =
      std::clamp(static_cast<int>(std::lround(share * trace.steps)), 1, trace.steps - 1);
  return {slice(trace, 0, plan), slice(trace, plan, trace.steps - plan)};
}

}  // namespace gembench::inline cost
