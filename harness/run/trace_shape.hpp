#pragma once

#include "harness/cli/options.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline run {

/// Collective: fills in layers, experts and top-k from rank 0's --trace if the user gave none, and
/// returns its steps (0 = no trace). Usage error, naming both numbers, if experts or top-k differ
/// from the trace's.
[[nodiscard]] int adopt_trace_shape(const Comm& comm, SessionOptions& options);

}  // namespace gembench::inline run
