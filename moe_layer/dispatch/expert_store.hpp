#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "moe_layer/device/device.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "placement/cost/placement.hpp"

namespace gembench::inline dispatch {

/// The cost of a switch to another placement.
struct MoveReport {
  std::int64_t experts_moved = 0;  ///< weights received from other ranks, all ranks together
  std::int64_t bytes = 0;
  double seconds = 0;  ///< wall clock of the slowest rank
};

/// Expert weights of this rank. An expert is generated once, from its seed, on the rank where it is
/// first needed; after that it moves between ranks as bytes. Layers share weights when
/// weight_layers < layers: layer l uses the weights of layer l % weight_layers.
class ExpertStore {
 public:
  ExpertStore(const Comm& comm, Device& device, const ModelShape& model, int weight_layers,
              std::uint64_t seed);

  /// Collective: makes this rank hold exactly the experts that these placements need, weight layer
  /// by weight layer, so that at most one layer is held twice.
  MoveReport hold(std::span<const Placement* const> placements);

  /// Weights by slot of this rank, null for empty slots. Valid until the next hold().
  [[nodiscard]] std::vector<const Buffer*> slots(const Placement& placement, int layer) const;
  [[nodiscard]] std::vector<const Buffer*> shared(int layer) const;
  [[nodiscard]] int weight_layers() const { return weight_layers_; }
  [[nodiscard]] int weight_layer(int layer) const { return layer % weight_layers_; }
  /// Device bytes held now.
  [[nodiscard]] std::size_t bytes_held() const;
  /// For tests: the weights of one expert this rank holds.
  [[nodiscard]] Buffer& held(int layer, int expert);

 private:
  using Ranks = std::vector<int>;
  /// [expert] -> ranks that need it in a weight layer, ascending.
  [[nodiscard]] std::vector<Ranks> needed_by(std::span<const Placement* const> placements,
                                             int weight_layer) const;
  Buffer make(int weight_layer, int expert);

  const Comm& comm_;
  Device& device_;
  ModelShape model_;
  int weight_layers_;
  std::uint64_t seed_;
  std::vector<std::vector<Ranks>> holders_;     // [weight layer][expert], the same on every rank
  std::vector<std::map<int, Buffer>> experts_;  // [weight layer] expert -> weights held here
  std::vector<std::vector<Buffer>> shared_;     // [weight layer][i]
  PlainExpert plain_;                           // scratch of make()
};

}  // namespace gembench::inline dispatch
