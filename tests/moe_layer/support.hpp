#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "moe_layer/model.hpp"
#include "placement/placement.hpp"
#include "placement/random.hpp"

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

/// Every layer dealt anew.
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

}  // namespace gembench
