#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/run/workload.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "placement/cost/placement_file.hpp"

namespace gembench::inline run {

/// A placement that was read, and how many of the steps it is judged on it was planned on.
struct FileOrigin {
  std::string path;
  std::optional<int> planned;  ///< none: not known
  int judged = 0;              ///< steps
};
[[nodiscard]] FileOrigin origin_of(const std::string& path, const PlacementFile& file,
                                   const TraceDigests& trace, int first, int count);
/// "gem.json was planned on none of these steps"
[[nodiscard]] std::string to_text(const FileOrigin& origin);

/// Before memory is taken and routers run: usage error for a profile or placement among the inputs
/// that cannot be read, and a profile of other ranks. Simulated ranks take a builtin profile too.
void require_readable(const SessionOptions& options, const Comm& comm);

/// Reads every file among `placements` (file:PATH, also inside relabel:, adapt: and oracle:) before
/// anything is measured, and says where each was planned. Usage error for one that does not fit the
/// loads, `ranks` and `slots`, and unless `in_sample` for one that was planned on measured steps.
[[nodiscard]] std::string check_placement_files(const std::vector<std::string>& placements,
                                                const Workload& workload, int ranks, int slots,
                                                bool in_sample);

}  // namespace gembench::inline run
