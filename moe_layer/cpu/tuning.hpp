#pragma once

#include <cstddef>
#include <vector>

#include "moe_layer/cpu/chunks.hpp"
#include "moe_layer/cpu/feed_forward.hpp"
#include "moe_layer/model/shape.hpp"
#include "moe_layer/mpi/comm.hpp"

/// Measures the cost of chunks of rows on this CPU.
namespace gembench::inline cpu {

/// The cost of chunks of measured_row_counts() on this CPU, in thread CPU time, so that other work
/// on the machine is not counted; infinite for counts that did not fit into kTuningSeconds. The
/// smallest of several readings, each with weights from memory and then from cache.
[[nodiscard]] std::vector<ChunkCost> measure_chunks(CpuFeedForward& experts, std::size_t row_bytes,
                                                    bool tiles);
inline constexpr double kTuningSeconds = 1;
/// Below this, making a kernel takes far longer than it can save, so fixed costs are assumed.
[[nodiscard]] bool worth_measuring(int hidden, int ffn);
/// Bytes that measure_chunks() allocates temporarily.
[[nodiscard]] std::size_t measuring_bytes(std::size_t expert_bytes);

/// Collective: the costs that all ranks with this kind of CPU agree on, completed.
[[nodiscard]] std::vector<ChunkCost> agreed_costs(const Comm& comm, CpuFeedForward& experts,
                                                  std::size_t row_bytes, DType dtype);

}  // namespace gembench::inline cpu
