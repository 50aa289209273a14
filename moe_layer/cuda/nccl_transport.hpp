#pragma once

#include <string>

#include "moe_layer/cuda/link.hpp"

namespace gembench::inline cuda {

/// "2.28.9".
[[nodiscard]] std::string nccl_version();

// A row of transports() (transport.hpp): NCCL's sends and receives on the stream.
[[nodiscard]] std::string nccl_words();
[[nodiscard]] Link connect_nccl(const LinkEnds& ends, cudaStream_t stream);

}  // namespace gembench::inline cuda
