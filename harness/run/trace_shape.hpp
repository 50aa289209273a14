#pragma once

#include "harness/cli/options.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline run {

/// Collective: the options, with the layers, experts and top-k of rank 0's --trace where the user
/// gave none. Usage error, naming both numbers, for experts or top-k that the trace has not.
[[nodiscard]] Options with_trace_shape(const Comm& comm, const Options& options);

}  // namespace gembench::inline run
