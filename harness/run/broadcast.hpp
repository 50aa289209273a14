#pragma once

#include <vector>

#include "moe_layer/mpi/comm.hpp"
#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline run {

// Collective: sends every field of rank 0's value to all ranks. Code that adds a field without
// sending it does not compile.

void broadcast(const Comm& comm, Trace& trace);
void broadcast(const Comm& comm, Profile& profile);
void broadcast(const Comm& comm, Placement& placement);
void broadcast(const Comm& comm, std::vector<Placement>& placements);

}  // namespace gembench::inline run
