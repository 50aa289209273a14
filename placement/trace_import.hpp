#pragma once

#include <filesystem>

#include "placement/trace.hpp"

namespace gembench {

/// Reads a CSV of counts: header `step,layer,e0,e1,..`, one row per (step, layer), steps and layers
/// numbered from 0 without gaps, in any order. `topk` is not in the file and must be given.
/// Throws a usage error naming the file and line.
[[nodiscard]] Trace read_counts_csv(const std::filesystem::path& path, int topk);

/// Reads run totals from a CSV as above of one step, whatever its layers sum to: recorders drop
/// tokens, and a layer's totals are only shares to draw from (expand_multinomial, which checks
/// them). The result is no sound trace by itself. Usage error as above, and for more steps.
[[nodiscard]] Trace read_totals_csv(const std::filesystem::path& path, int topk);

/// Shape of a raw file of per-token ids, which says nothing about itself.
struct RawIdsShape {
  int layers = 0;
  int experts = 0;
  int topk = 0;
  int tokens_per_step =
      0;  ///< consecutive tokens that form a step; a last, shorter step is dropped
};

/// Reads unsigned bytes [token][layer][k] (expert ids below 256) and cuts them into steps of
/// consecutive tokens. Throws a usage error when the size does not fit the shape.
[[nodiscard]] Trace read_raw_ids(const std::filesystem::path& path, const RawIdsShape& shape);

}  // namespace gembench
