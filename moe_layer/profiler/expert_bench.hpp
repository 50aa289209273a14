#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/device/device.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/profiler/received_load.hpp"

namespace gembench::inline profiler {

/// The distinct tokens that a bench has room for, and their source.
struct BenchInput {
  std::int64_t rows = 0;
  std::uint64_t seed = 0;  ///< of the run
  int step = 0;            ///< whose first tokens they are
};

/// The expert phase of one rank under a load that was not sent by dispatch, with its own buffers.
/// It computes on a run's data, the step's inputs normalised as the router does, since zeros need
/// less power and let a GPU clock higher.
class ExpertBench {
 public:
  /// Room for `max_load` pairs of the input's tokens, for `slots` experts.
  ExpertBench(Device& device, const ModelShape& model, std::int64_t max_load,
              const BenchInput& input, int slots);

  /// Time of one expert phase with a layer's experts, [slot].
  double seconds(const ReceivedLoad& load, std::span<const Buffer* const> weights, Clock clock);

  /// For tests: its input and its result, dtype [row][hidden].
  [[nodiscard]] const Buffer& rows() const { return rows_; }
  [[nodiscard]] const Buffer& results() const { return results_; }

 private:
  Device& device_;
  Stream stream_;
  Buffer rows_, results_, sums_, pairs_, slot_tokens_;
};

}  // namespace gembench::inline profiler
