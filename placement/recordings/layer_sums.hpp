#pragma once

#include <cstdint>

#include "placement/loads/trace.hpp"

namespace gembench::inline recordings {

/// Layers of a step that do not sum alike, though every token passes all of them: recorders read
/// their counters at different moments.
struct LayerSums {
  double tolerance = 0.01;    ///< most that a layer may lack of the fullest, as a share
  std::int64_t steps = 0;     ///< seen
  std::int64_t rescaled = 0;  ///< of them
  double largest = 0;         ///< share that a layer lacked at most
};

/// Scales the layers of every step to the sum of the smallest, rounded down to whole tokens, where
/// they do not sum alike: largest remainders, lower experts first. With sources, each of their
/// counts. Usage error naming step and layer where a layer lacks more than the tolerance, where
/// layers sum alike but not to a multiple of top-k, where an expert has more tokens than the step,
/// and where top-k is unknown (0).
void equalise_layers(Trace& steps, LayerSums& sums);

/// Usage error with the remedy where top-k is unknown.
void require_topk(const Trace& steps);

/// Adds steps up into `totals`, a trace of one step whose layers need not sum alike (without
/// sources and labels); an empty one takes their shape. Usage error where a sum does not fit 32
/// bits.
void add_to_totals(Trace& totals, const Trace& steps);

}  // namespace gembench::inline recordings
