#pragma once

#include <filesystem>

#include "placement/trace.hpp"

namespace gembench {

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
