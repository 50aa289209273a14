#pragma once

#include <cstdint>

#include "placement/loads/trace.hpp"

namespace gembench::inline recordings {

/// Handles layers of a step with different sums, although every token passes all layers: recorders
/// read their counters at different moments.
struct LayerSums {
  double tolerance = 0.01;    ///< largest share by which a layer may be below the fullest
  std::int64_t steps = 0;     ///< seen
  std::int64_t rescaled = 0;  ///< of them
  double largest = 0;         ///< largest share by which a layer was below the fullest
};

/// If the layers of a step have different sums, scales them to the smallest sum, rounded down to
/// whole tokens: largest remainders, lower experts first. With sources, scales each of their
/// counts. Usage error naming step and layer if a layer lacks more than the tolerance, if layers
/// have equal sums that are no multiple of top-k, if an expert has more tokens than the step, and
/// if top-k is unknown (0).
void equalise_layers(Trace& steps, LayerSums& sums);

/// Usage error with the remedy where top-k is unknown.
void require_topk(const Trace& steps);

}  // namespace gembench::inline recordings
