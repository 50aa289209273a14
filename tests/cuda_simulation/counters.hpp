#pragma once

#include <cstdint>

/// What this process asked of the simulation since it started, or since the counters were reset.
struct GembenchSimulationCounters {
  std::int64_t launches;          ///< kernels
  std::int64_t synchronizations;  ///< host waits: of streams, events, the device; copies that block
  std::int64_t queries;           ///< of streams and events
  std::int64_t allocations;       ///< device memory
  std::int64_t host_allocations;  ///< pinned
  std::int64_t frees;             ///< of both
  std::int64_t copies, copied_bytes;
  std::int64_t pageable_copies;  ///< cudaMemcpyAsync to or from memory that is not pinned
  std::int64_t sets;
  std::int64_t event_records, event_waits;
  std::int64_t gemm_calls, gemms;  ///< cuBLAS calls, matrix products in them
  std::int64_t nccl_groups, nccl_sends, nccl_receives, nccl_sent_bytes;
  std::int64_t nccl_unaligned;  ///< messages that real NCCL moves byte by byte: not in units of 16
  std::int64_t nccl_contacts;   ///< first messages between two ranks: real NCCL connects them then
  std::int64_t first_uses;      ///< kernels and sizes of products: real CUDA loads their code then
  std::int64_t captured_calls;  ///< that put work on a stream, record an event or wait for one
  std::int64_t graph_instantiations, graph_updates, graph_launches;
  std::int64_t graph_allocations;  ///< captured products without a workspace of the caller's
  /// What launches of graphs ran, by kind; calls without a graph are counted above.
  std::int64_t graph_kernels, graph_copies, graph_sets, graph_products, graph_exchanges;
  std::int64_t live_bytes, peak_bytes;  ///< of device memory; not reset
};

/// For tests, by dlsym where the simulation lies in a plugin.
extern "C" const GembenchSimulationCounters* gembench_simulation_counters();
extern "C" void gembench_simulation_reset_counters();

namespace gembench::simulation {
GembenchSimulationCounters& counters();
}  // namespace gembench::simulation
