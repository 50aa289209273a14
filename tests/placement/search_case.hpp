#pragma once

#include <array>
#include <optional>

#include "placement/search/layer_problem.hpp"
#include "placement/search/starts.hpp"
#include "placement/strategies/gem.hpp"
#include "placement/strategies/replicas.hpp"
#include "tests/placement/support.hpp"

namespace gembench::testing {

/// Counts on one layer as few tokens make them: many equal ones, experts and steps without any.
inline Trace tied_trace(int steps, int experts, Random& random) {
  Trace trace;
  trace.steps = steps;
  trace.layers = 1;
  trace.experts = experts;
  trace.topk = 1;
  const auto most = 1 + random.below(random.below(2) ? 4 : 40);
  const auto grain = random.below(3) ? 1 : 8;
  for (int step = 0; step < steps; ++step) {
    const bool none = random.below(12) == 0;
    for (int e = 0; e < experts; ++e) {
      const auto tokens = none || random.below(4) == 0 ? 0 : random.below(most);
      trace.tokens.push_back(static_cast<std::int32_t>(tokens * grain));
    }
  }
  if (random.below(25) == 0) std::fill(trace.tokens.begin(), trace.tokens.end(), 0);
  return trace;
}

/// Curves in whole microseconds that tie again and again: equal or unequal speeds, flat ones,
/// stairs of more lines than a kernel tries at once, and dents.
inline Profile tied_profile(int ranks, std::int64_t scale, Random& random) {
  Profile profile;
  profile.ranks = ranks;
  const auto shape = random.below(5);
  const int load_points = shape == 3 ? 40 : 2 + static_cast<int>(random.below(5));
  for (int k = 0; k < load_points; ++k)
    profile.load_points.push_back(k * scale * (shape == 3 ? 3 : 16));
  const bool equal = random.below(2);
  for (int rank = 0; rank < ranks; ++rank) {
    const auto speed = static_cast<double>(equal ? 1 : 1 + random.below(3));
    for (int k = 0; k < load_points; ++k) {
      const auto tokens = static_cast<double>(profile.load_points[static_cast<std::size_t>(k)]);
      double us = shape == 0   ? tokens                                          // a line
                  : shape == 1 ? 20                                              // flat
                  : shape == 2 ? 20 + std::max(0.0, tokens - 20)                 // a kink
                  : shape == 3 ? 16 * ((k + 3) / 4)                              // stairs
                               : static_cast<double>(random.below(60 * scale));  // dents
      profile.latency.push_back(speed * us * 1e-6);
    }
    profile.overhead.push_back(random.below(2) ? 5e-6 : 0);
  }
  profile.spread.assign(profile.latency.size(), 0);
  profile.slowdown.assign(static_cast<std::size_t>(ranks), 1);
  return profile;
}

/// A small layer to place, drawn, with everything it needs.
struct SearchCase {
  explicit SearchCase(std::uint64_t seed)
      : random(fold(0x5ea7c, seed)),
        kind(random.below(4) ? CostKind::sum : CostKind::per_expert),
        scale(random.below(4) ? 1 : 5000),
        ranks(1 + static_cast<int>(random.below(6))),
        slots(1 + static_cast<int>(random.below(4))) {
    // Beyond 256 steps what a swap loses is added up in parts.
    const int steps = std::array{1, 3, 20, 64, 65, 300, 700}[random.below(7)];
    // What is not a first replica or a further one is a spare slot.
    const auto places = std::uint64_t(ranks) * std::uint64_t(slots);
    const auto first = random.below(2) ? places : 1 + random.below(places);
    const auto further = random.below(2) ? 0 : random.below(places - first + 1);
    trace = tied_trace(steps, static_cast<int>(first), random);
    if (scale > 1)
      for (auto& tokens : trace.tokens) tokens *= static_cast<std::int32_t>(scale);
    split = split_layer(trace,
                        count_copies(trace, static_cast<int>(further), ranks, ReplicaLoad::mean));
    cost.emplace(tied_profile(ranks, scale, random), kind, slots);
    costs.emplace(*cost, split.trace, slots);
    problem.emplace(split.trace, 0, *costs, slots);
    if (split.trace.experts > trace.experts) problem->replica_of = split.expert;
  }
  SearchCase(const SearchCase&) = delete;  // the problem points to the costs
  SearchCase& operator=(const SearchCase&) = delete;

  [[nodiscard]] Assignment start() {
    std::vector<std::int32_t> order;
    for (std::size_t e = 0; e < problem->experts; ++e) order.push_back(std::int32_t(e));
    random.shuffle(order);
    auto assignment = blocks(order, problem->slots);
    apart = separate_replicas(*problem, assignment);
    return assignment;
  }

  Random random;
  CostKind kind;
  std::int64_t scale;
  int ranks, slots;
  bool apart = true;  ///< no replicas share a rank in start()
  Trace trace;
  SplitLayer split;
  std::optional<CostModel> cost;
  std::optional<SearchCosts> costs;
  std::optional<LayerProblem> problem;
};

}  // namespace gembench::testing
