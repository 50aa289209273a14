#pragma once

#include "harness/cli/options.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline run {

/// Collective: fills in the layers, experts and top-k of rank 0's --trace where the user gave none,
/// and returns its steps (0 = no trace). Usage error, naming both numbers, for experts or top-k
/// that the trace has not.
[[nodiscard]] int adopt_trace_shape(const Comm& comm, SessionOptions& options);

}  // namespace gembench::inline run
