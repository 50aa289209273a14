#include "placement/strategies/replicas.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "placement/base/random.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline strategies {
namespace {

constexpr double kTail = 0.9;

/// What replicas are given out by, [expert].
std::vector<double> expert_loads(const Trace& layer, ReplicaLoad by) {
  std::vector<double> loads;
  std::vector<double> steps(static_cast<std::size_t>(layer.steps));
  for (std::size_t e = 0; e < static_cast<std::size_t>(layer.experts); ++e) {
    for (int t = 0; t < layer.steps; ++t) steps[static_cast<std::size_t>(t)] = layer.loads(t, 0)[e];
    const auto mean = std::accumulate(steps.begin(), steps.end(), 0.0) / layer.steps;
    loads.push_back(by == ReplicaLoad::mean ? mean : (mean + quantile(steps, kTail)) / 2);
  }
  return loads;
}

}  // namespace

Trace one_layer(const Trace& trace, int layer) {
  Trace one;
  one.steps = trace.steps;
  one.layers = 1;
  one.experts = trace.experts;
  one.topk = trace.topk;
  one.tokens.reserve(static_cast<std::size_t>(trace.steps) * static_cast<std::size_t>(one.experts));
  for (int step = 0; step < trace.steps; ++step) {
    const auto row = trace.loads(step, layer);
    one.tokens.insert(one.tokens.end(), row.begin(), row.end());
  }
  return one;
}

std::vector<std::int32_t> count_copies(const Trace& layer, int replicas, int ranks,
                                       ReplicaLoad by) {
  const auto loads = expert_loads(layer, by);
  std::vector<std::int32_t> copies(loads.size(), 1);
  for (; replicas > 0; --replicas) {
    auto best = loads.size();
    for (std::size_t e = 0; e < loads.size(); ++e)
      if (copies[e] < ranks &&
          (best == loads.size() || loads[e] * copies[best] > loads[best] * copies[e]))
        best = e;
    if (best == loads.size()) break;  // every rank holds every expert
    ++copies[best];
  }
  return copies;
}

void add_cold_replicas(std::span<const std::int64_t> load, int layer, int replicas,
                       Placement& placement) {
  std::vector<std::int64_t> copies(load.size(), 0);
  int left = replicas + placement.experts;
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (auto expert : placement.on_rank(layer, rank)) {
      if (expert < 0) continue;
      ++copies[static_cast<std::size_t>(expert)];
      --left;
    }
  for (int rank = 0; rank < placement.ranks; ++rank) {
    const auto here = placement.on_rank(layer, rank);
    for (auto& slot : here) {
      if (slot >= 0 || left <= 0) continue;
      auto best = load.size();
      for (std::size_t e = 0; e < load.size(); ++e)
        if ((best == load.size() || uint128(load[e]) * uint128(copies[best] + 1) <
                                        uint128(load[best]) * uint128(copies[e] + 1)) &&
            std::ranges::find(here, static_cast<std::int32_t>(e)) == here.end())
          best = e;
      if (best == load.size()) break;  // the rank holds every expert
      slot = static_cast<std::int32_t>(best);
      ++copies[best];
      --left;
    }
  }
}

SplitLayer split_layer(const Trace& layer, const std::vector<std::int32_t>& copies) {
  SplitLayer split{{}, std::vector<std::int32_t>(copies.size())};
  std::iota(split.expert.begin(), split.expert.end(), 0);
  std::vector<std::int32_t> turn(copies.size(), 0);  // [replica] of its expert
  for (std::size_t e = 0; e < copies.size(); ++e)
    for (std::int32_t copy = 1; copy < copies[e]; ++copy) {
      split.expert.push_back(static_cast<std::int32_t>(e));
      turn.push_back(copy);
    }
  auto& trace = split.trace;
  trace.steps = layer.steps;
  trace.layers = 1;
  trace.experts = static_cast<int>(split.expert.size());
  trace.topk = layer.topk;
  trace.tokens.reserve(static_cast<std::size_t>(layer.steps) * split.expert.size());
  for (int step = 0; step < layer.steps; ++step) {
    const auto row = layer.loads(step, 0);
    for (std::size_t i = 0; i < split.expert.size(); ++i) {
      const auto e = static_cast<std::size_t>(split.expert[i]);
      trace.tokens.push_back(row[e] / copies[e] + (turn[i] < row[e] % copies[e]));
    }
  }
  return split;
}

}  // namespace gembench::inline strategies
