#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "moe_layer/layers.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline moe_layer {

/// The result of a check, the same on every rank.
struct CheckOutcome {
  std::int64_t tokens = 0;  ///< sampled (token, layer) outputs compared
  double worst_error = 0;  ///< largest |output - reference| over the largest |reference| of a token
  double tolerance = 0;
  bool passed = true;
  std::string message;  ///< the first failure in rank order: layer, token, error
};

/// Collective: runs the loaded step once more, untimed, and compares what every layer added to
/// sampled tokens with a plain reference that each rank computes alone: scalar loops in double over
/// weights regenerated from the seed, replaying the experts used and the layer's recorded input.
/// The router's own choice must be the reference's top-k up to a tie margin, and in every layer
/// every expert must have received exactly the tokens that chose it.
[[nodiscard]] CheckOutcome check_step(const Comm& comm, const Device& device,
                                      const ModelShape& model, const ExpertStore& store,
                                      MoeLayers& layers, const Placement& placement,
                                      std::uint64_t seed);

/// Collective: the states of all tokens after a step as a graph must have the bits that they have
/// after its phases; else the outcome is none that passed.
void check_graph(const Comm& comm, std::span<const float> graph, std::span<const float> phases,
                 CheckOutcome& outcome);

}  // namespace gembench::inline moe_layer
