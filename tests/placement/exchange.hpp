#pragma once

#include <cstdlib>
#include <numeric>

#include "placement/exchange/placement_formats.hpp"
#include "tests/placement/support.hpp"

namespace gembench::testing {

/// Where files that engines wrote lie, which are not part of the project.
inline std::filesystem::path peer_fixtures() {
  if (const char* named = std::getenv("GEMBENCH_PEER_FIXTURES")) return named;
  if (const char* data = std::getenv("GEMBENCH_DATA"))
    return std::filesystem::path(data) / ".." / "peer_fixtures";
  return std::filesystem::path(GEMBENCH_SOURCE_DIR) / ".." / "shared" / "peer_fixtures";
}

/// A placement without empty slots, of random shape; `most_spare` slots a rank hold replicas at
/// most. Layers have indices in a model with dense ones.
inline PlacementFile random_full_placement(Random& random, int most_spare = 2) {
  const auto below = [&](int n) { return static_cast<int>(random.below(std::uint64_t(n))); };
  const int ranks = 1 + below(6), each = 1 + below(4), layers = 1 + below(4);
  const int spare = ranks == 1 ? 0 : std::min(below(most_spare + 1), each * (ranks - 1));
  PlacementFile file;
  auto& placement = file.placement;
  placement = empty_placement(layers, ranks, each * ranks, each + spare);
  placement.strategy = "random";
  std::vector<std::int32_t> order(static_cast<std::size_t>(placement.experts));
  std::iota(order.begin(), order.end(), 0);
  for (int layer = 0; layer < layers; ++layer) {
    random.shuffle(order);
    auto next = order.begin();
    for (int rank = 0; rank < ranks; ++rank) {
      auto slots = placement.on_rank(layer, rank);
      std::copy_n(next, each, slots.begin());
      next += each;
      for (auto s = slots.begin() + each; s != slots.end(); ++s) {
        do *s = below(placement.experts);
        while (std::find(slots.begin(), s, *s) != s);
      }
    }
    file.layer_ids.push_back((layer == 0 ? below(3) : file.layer_ids.back() + 1) +
                             (below(4) == 0 ? 1 : 0));
  }
  file.model_layers = file.layer_ids.back() + 1 + below(2);
  return file;
}

}  // namespace gembench::testing
