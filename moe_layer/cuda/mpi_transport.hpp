#pragma once

#include <functional>
#include <span>
#include <string>

#include "moe_layer/cuda/link.hpp"

namespace gembench::inline cuda {

// Rows of transports() (transport.hpp). MPI sends from the host, which first waits for the stream:
// by addresses of device memory, where MPI takes them; or through pinned memory.
[[nodiscard]] std::string cuda_aware_mpi_words();
[[nodiscard]] std::string staged_mpi_words();
[[nodiscard]] Link connect_cuda_aware_mpi(const LinkEnds& ends, cudaStream_t stream);
[[nodiscard]] Link connect_staged_mpi(const LinkEnds& ends, cudaStream_t stream);

using SendAndReceive = std::function<void(std::span<const Message>, std::span<const Message>)>;

/// Collective: device memory goes round the ranks by `exchange`, a small message and one that is
/// larger than what MPI sends unasked (eager); environment error if other bytes arrive.
void require_device_addresses(const LinkEnds& ends, const SendAndReceive& exchange,
                              cudaStream_t stream);

}  // namespace gembench::inline cuda
