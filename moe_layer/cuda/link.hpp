#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <span>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/cuda/spans.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// What a way between ranks is made from. All of it outlives the way.
struct LinkEnds {
  const Comm& comm;
  Spans& spans;  ///< not of the time in which the host sends
  Whereabouts& at;
};

/// A way between ranks, connected; what it holds is freed with its functions. None of them waits
/// for what it has put on the stream, which Transport does.
struct Link {
  /// Dispatch and combine: an all-to-all of all parts at once. Allocates nothing.
  std::function<void(cudaStream_t, std::span<const RowExchange>)> exchange;
  /// Messages of any size, untimed; sends and receives in one order on both sides.
  std::function<void(cudaStream_t, std::span<const Message> sends,
                     std::span<const Message> receives)>
      send_weights;
  /// Throws if another rank or the network has failed. Null: a wait ends by itself then.
  std::function<void()> look = {};
  /// Pinned memory for the largest exchange, in bytes, of all its parts. Null: needs none.
  std::function<void(std::size_t most_sent, std::size_t most_received)> prepare = {};
};

}  // namespace gembench::inline cuda
