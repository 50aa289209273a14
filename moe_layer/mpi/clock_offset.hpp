#pragma once

#include <limits>
#include <vector>

#include "moe_layer/mpi/comm.hpp"
#include "moe_layer/mpi/topology.hpp"

namespace gembench::inline mpi {

/// What to add to a rank's wall_seconds() to read rank 0's at the same moment, seconds, and how far
/// off that is at most.
struct ClockOffset {
  double seconds = std::numeric_limits<double>::quiet_NaN();
  double error = std::numeric_limits<double>::quiet_NaN();
};

/// Collective, off the clock: [rank] on rank 0, empty elsewhere. The ranks of a node read one
/// clock, so one of every other node answers rank 0: of `rounds` exchanges there and back the
/// fastest counts, and half its time is the error (Cristian, Probabilistic clock synchronization,
/// 1989). 0 and 0 on rank 0's own node.
[[nodiscard]] std::vector<ClockOffset> clock_offsets(const Comm& comm, const Topology& topology,
                                                     int rounds = 50);

}  // namespace gembench::inline mpi
