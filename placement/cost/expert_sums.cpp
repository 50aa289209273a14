#include "placement/cost/expert_sums.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/parallel.hpp"

namespace gembench::inline cost {
namespace {

/// Counts below which starting threads takes longer than adding.
constexpr std::size_t kWorthThreads = std::size_t{1} << 20;

void require_steps(const Trace& trace) {
  if (trace.steps < 1 || trace.layers < 1 || trace.experts < 1)
    throw usage_error(
        fmt::format("the trace has {} steps, {} layers and {} experts; at least 1 of each is "
                    "needed to plan or judge",
                    trace.steps, trace.layers, trace.experts));
  const auto cells = checked_product({trace.steps, trace.layers, trace.experts}, "the trace");
  if (trace.tokens.size() != cells)
    throw usage_error(fmt::format("the trace holds {} counts where {} belong; record it again",
                                  trace.tokens.size(), cells));
}

/// A profile with the load points of `cost` and the latencies of `latency_of(rank, load_point)`,
/// overhead included.
template <class LatencyOf>
Profile derived_profile(const CostModel& cost, int ranks, LatencyOf latency_of) {
  Profile profile;
  profile.ranks = ranks;
  profile.load_points.assign(cost.load_points().begin(), cost.load_points().end());
  for (int rank = 0; rank < ranks; ++rank)
    for (std::size_t k = 0; k < profile.load_points.size(); ++k)
      profile.latency.push_back(latency_of(rank, k));
  profile.spread.assign(profile.latency.size(), 0);
  profile.overhead.assign(static_cast<std::size_t>(ranks), 0);
  profile.slowdown.assign(static_cast<std::size_t>(ranks), 1);
  if (cost.kind() == CostKind::per_expert) {
    profile.slots = cost.slots();
    profile.active = cost.active();
  }
  return profile;
}

}  // namespace

std::vector<std::int64_t> expert_sums(const Trace& trace, int threads) {
  require_steps(trace);
  const auto cells = static_cast<std::size_t>(trace.layers) * std::size_t(trace.experts);
  const auto steps = static_cast<std::size_t>(trace.steps);
  std::vector<std::int64_t> sums(cells, 0);
  const std::vector<std::int32_t> none(steps % 2 ? cells : 0, 0);
  // Memory sets the pace, so every count is read once, in order. Two steps are added in 32 bits,
  // which cannot wrap (each is below 2^31), before the wider addition.
  const auto add_part = [&](std::size_t from, std::size_t to) {
    std::uint32_t signs = 0;
    const auto add = [&](const std::int32_t* one, const std::int32_t* other) {
      for (std::size_t i = from; i < to; ++i) {
        const auto a = static_cast<std::uint32_t>(one[i]);
        const auto b = static_cast<std::uint32_t>(other[i]);
        signs |= a | b;
        sums[i] += static_cast<std::int64_t>(std::uint64_t{a + b});
      }
    };
    const auto* at = trace.tokens.data();
    for (std::size_t step = 0; step + 1 < steps; step += 2, at += 2 * cells) add(at, at + cells);
    if (steps % 2) add(at, none.data());
    if (signs >> 31) throw usage_error("the trace has counts below zero; record it again");
  };
  const auto parts = trace.tokens.size() < kWorthThreads
                         ? std::size_t{1}
                         : std::min(cells, static_cast<std::size_t>(threads_of(threads)));
  parallel_for(static_cast<int>(parts), threads, [&](int part) {
    const auto at = static_cast<std::size_t>(part);
    add_part(cells * at / parts, cells * (at + 1) / parts);
  });
  return sums;
}

Trace summed_steps(const Trace& trace) {
  const auto sums = expert_sums(trace);
  const auto experts = static_cast<std::size_t>(trace.experts);
  Trace one;
  one.steps = 1;
  one.layers = trace.layers;
  one.experts = trace.experts;
  one.topk = trace.topk;
  one.source = trace.source;
  one.tokens.reserve(sums.size());
  for (std::size_t i = 0; i < sums.size(); i += experts) {
    const auto layer = std::accumulate(&sums[i], &sums[i] + experts, std::int64_t{0});
    if (layer > std::numeric_limits<std::int32_t>::max())
      throw usage_error(fmt::format(
          "the trace holds {} tokens in a layer, more than can be summed; plan on fewer "
          "steps",
          layer));
    for (std::size_t e = 0; e < experts; ++e)
      one.tokens.push_back(static_cast<std::int32_t>(sums[i + e]));
  }
  return one;
}

CostModel over_steps(const CostModel& cost, int steps) {
  auto profile = derived_profile(cost, cost.ranks(),
                                 [&](int rank, std::size_t k) { return cost.latency(rank)[k]; });
  for (auto* loads : {&profile.load_points, &profile.active.loads})
    for (auto& load : *loads)
      if (__builtin_mul_overflow(load, std::int64_t{steps}, &load))
        throw usage_error(fmt::format("{} steps are too many for the profile's loads", steps));
  return {profile, cost.kind(), cost.slots()};
}

void require_speeds(const CostModel& cost) {
  for (int rank = 0; rank < cost.ranks(); ++rank)
    if (cost.latency(rank).back() <= 0)
      throw usage_error(
          fmt::format("rank {} takes no time for {} tokens; measure the profile again", rank,
                      cost.load_points().back()));
}

CostModel equal_speeds(const CostModel& cost, int ranks) {
  require_speeds(cost);
  std::vector<double> mean(cost.load_points().size(), 0);
  for (std::size_t k = 0; k < mean.size(); ++k) {
    for (int rank = 0; rank < cost.ranks(); ++rank) mean[k] += cost.latency(rank)[k];
    mean[k] /= cost.ranks();
  }
  auto profile = derived_profile(cost, ranks, [&](int, std::size_t k) { return mean[k]; });
  if (const std::size_t points = profile.active.points(); points > 0) {
    const ActiveSweep& measured = cost.active();
    profile.active.latency.assign(points * static_cast<std::size_t>(ranks), 0);
    for (int rank = 0; rank < ranks; ++rank)
      for (std::size_t point = 0; point < points; ++point)
        for (int of = 0; of < cost.ranks(); ++of)
          profile.active.at(rank, point) += measured.at(of, point) / cost.ranks();
  }
  return {profile, cost.kind(), cost.slots()};
}

}  // namespace gembench::inline cost
