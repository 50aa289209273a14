#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "moe_layer/model/shape.hpp"
#include "placement/base/random.hpp"
#include "placement/cost/placement.hpp"

namespace gembench {

/// Small enough for eight ranks on two cores; 24 experts divide by 1, 2, 3, 4 and 8 ranks.
inline ModelShape small_model(int shared) {
  ModelShape model;
  model.name = "small";
  model.layers = 3;
  model.experts = 24;
  model.topk = 3;
  model.shared = shared;
  model.hidden = 48;
  model.ffn = 32;
  return model;
}

/// Every layer dealt again.
inline Placement random_placement(const ModelShape& model, int ranks, std::uint64_t seed) {
  Placement placement = empty_placement(model.layers, ranks, model.experts);
  placement.strategy = "test";
  Random random(seed);
  std::vector<int> experts(static_cast<std::size_t>(model.experts));
  std::iota(experts.begin(), experts.end(), 0);
  for (int layer = 0; layer < model.layers; ++layer) {
    random.shuffle(experts);
    std::copy(experts.begin(), experts.end(),
              placement.slot_expert.begin() + layer * model.experts);
  }
  return placement;
}

/// Experts dealt to slots at random, each once; then about half of the slots that are left get an
/// expert that is not yet on their rank, the others stay empty.
inline Placement replicated_placement(int layers, int ranks, int experts, int slots,
                                      std::uint64_t seed) {
  Placement placement = empty_placement(layers, ranks, experts, slots);
  placement.strategy = "test";
  Random random(seed);
  const auto cells = static_cast<std::size_t>(ranks * slots);
  std::vector<std::size_t> order(cells);
  for (int layer = 0; layer < layers; ++layer) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    random.shuffle(order);
    for (std::size_t i = 0; i < cells; ++i) {
      const auto rank = static_cast<int>(order[i] / static_cast<std::size_t>(slots));
      const auto here = placement.on_rank(layer, rank);
      const auto expert =
          i < static_cast<std::size_t>(experts)
              ? static_cast<std::int32_t>(i)
              : static_cast<std::int32_t>(random.below(static_cast<std::size_t>(experts)));
      const bool extra = i >= static_cast<std::size_t>(experts);
      if (extra && (random.below(2) == 0 || std::ranges::find(here, expert) != here.end()))
        continue;
      here[order[i] % static_cast<std::size_t>(slots)] = expert;
    }
  }
  validate(placement);
  return placement;
}

}  // namespace gembench
