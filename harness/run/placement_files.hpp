#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/run/workload.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "placement/exchange/placement_file.hpp"

namespace gembench::inline run {

/// A placement that was read, and how many of the judged steps it was planned on.
struct FileOrigin {
  std::string path;
  std::optional<int> planned;  ///< none: not known
  int judged = 0;              ///< steps
};
[[nodiscard]] FileOrigin origin_of(const std::string& path, const PlacementFile& file,
                                   const TraceDigests& trace, int first, int count);
/// "gem.json was planned on none of these steps"
[[nodiscard]] std::string to_text(const FileOrigin& origin);

/// Called before memory is allocated and routers run: usage error for a profile or placement that
/// cannot be read, or a profile of another number of ranks. Simulated ranks accept builtin
/// profiles.
void require_readable(const SessionOptions& options, const Comm& comm);

/// Reads every file among `placements` (file:PATH, also inside relabel:, adapt: and oracle:) before
/// anything is measured, and says what each was planned on. Usage error for a file that does not
/// match the loads, `ranks` and `slots`, and unless `in_sample` for one that was planned on
/// measured steps.
[[nodiscard]] std::string check_placement_files(const std::vector<std::string>& placements,
                                                const Workload& workload, int ranks, int slots,
                                                bool in_sample);

}  // namespace gembench::inline run
