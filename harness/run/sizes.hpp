#pragma once

#include <cstddef>

#include "harness/cli/options.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/device/device.hpp"
#include "moe_layer/model/routing.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Most rows and assignments that a rank with any `slots` experts can receive in one layer of a
/// workload.
[[nodiscard]] ReceiveLimits receive_limits(const Workload& workload, int slots);

/// Bytes a rank needs for weights, buffers and its device's scratch. `tokens`: local ones of its
/// largest step; `resident`: placements whose experts stay in memory; `forwarded`: in hierarchical
/// dispatch.
[[nodiscard]] std::size_t rank_bytes(const ModelOptions& options, const ModelShape& model,
                                     const Device& device, const Workload& workload, int slots,
                                     const ReceiveLimits& limits, int tokens, std::size_t resident,
                                     const ForwardLimits& forwarded = {});
/// Bytes of the loads that every rank holds, and rank 0 sends them.
[[nodiscard]] std::size_t load_bytes(const Workload& workload);
/// Most bytes that rank 0 holds in addition: a segment's readings as gathered and as written,
/// predictions, and payload between pairs of ranks. Does not grow with the number of segments.
[[nodiscard]] std::size_t root_bytes(const RunShape& shape, int segment_steps);
/// Most bytes of results.h5, uncompressed: the arrays over (placement, step, layer, rank), loads,
/// predictions, pairs, slots and the profile.
[[nodiscard]] double file_bytes(const RunShape& shape, bool gpus);

}  // namespace gembench::inline run
