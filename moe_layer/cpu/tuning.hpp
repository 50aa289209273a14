#pragma once

#include <cstddef>
#include <vector>

#include "moe_layer/cpu/chunks.hpp"
#include "moe_layer/cpu/feed_forward.hpp"
#include "moe_layer/model/shape.hpp"
#include "moe_layer/mpi/comm.hpp"

/// What chunks of rows cost on this CPU, measured.
namespace gembench::inline cpu {

/// What chunks of measured_row_counts() take on this CPU, in thread CPU time, so that other work on
/// the machine is not counted; infinite where kTuningSeconds did not suffice. The smallest of
/// several readings, each with weights from memory and then with those just read.
[[nodiscard]] std::vector<ChunkCost> measure_chunks(CpuFeedForward& experts, std::size_t row_bytes,
                                                    bool tiles);
inline constexpr double kTuningSeconds = 1;
/// Below this making a kernel takes far longer than it can save: fixed costs are assumed.
[[nodiscard]] bool worth_measuring(int hidden, int ffn);
/// Bytes that measure_chunks() takes meanwhile.
[[nodiscard]] std::size_t measuring_bytes(std::size_t expert_bytes);

/// Collective: the costs that all ranks with this kind of CPU agree on, completed.
[[nodiscard]] std::vector<ChunkCost> agreed_costs(const Comm& comm, CpuFeedForward& experts,
                                                  std::size_t row_bytes, DType dtype);

}  // namespace gembench::inline cpu
