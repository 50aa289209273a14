#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "placement/cost/placement.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/trace.hpp"

/// The traffic between ranks under a placement, in the formats of communication benchmarks.
namespace gembench::inline exchange {

/// What to write, with layer and step.
struct TrafficInput {
  const Placement& placement;
  const Trace& trace;            ///< of the placement's layers and experts
  int layer = 0;                 ///< index of both
  std::optional<int> step = {};  ///< none: mean over all
  double row_bytes = 0;          ///< of one token on the wire; nccl-alltoallv
  SplitRule rule = SplitRule::even;  ///< of replicas; one that needs no speeds
};

/// A row of the table: plain functions.
struct TrafficFormat {
  std::string_view name;  ///< as on the command line
  std::string_view what;  ///< who reads it
  std::string_view
      of_counts;  ///< which values are only expected ones if the trace has no ids; or empty
  /// Usage errors as in pair_traffic, and for content that the format cannot hold.
  std::string (*write)(const TrafficInput& input);
  std::string (*usage)(const Placement& placement, const std::string& path);
};

/// nccl-alltoallv: a line of bytes to every rank for every source rank, multiples of 16 (rounded
/// up; the benchmark would round down), nothing from a rank to itself. bench-moe: a routing pattern
/// of TensorRT-LLM's bench_moe, whose sources must have equally many tokens, of one step.
[[nodiscard]] std::span<const TrafficFormat> traffic_formats();

/// nullptr if there is none with that name.
[[nodiscard]] const TrafficFormat* find_traffic_format(std::string_view name);

}  // namespace gembench::inline exchange
