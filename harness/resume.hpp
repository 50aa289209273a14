#pragma once

#include "harness/measure.hpp"
#include "results/run_reader.hpp"

namespace gembench {

/// What --resume finds under --output.
enum class Earlier {
  nothing,     ///< no file: nothing was measured
  unfinished,  ///< FILE.partial with turns to keep
  complete     ///< FILE
};
[[nodiscard]] Earlier find_earlier(const std::string& output);

// What an unfinished run and this one must have in common, or profile and numbers would not be of
// one run. Both are usage errors that name the first difference.

/// What --config-from needs to run a file's placements again: its strategies, ranks and loads
/// (digest).
void require_replayable(const RunInfo& earlier, const std::vector<std::string>& strategies,
                        int ranks, const std::string& trace_digest);

/// The same ranks, options (JSON) and loads (digest).
void require_same_request(const RunInfo& earlier, int ranks, const std::string& config,
                          const std::string& trace_digest);
/// The same program, device, clock and nodes.
void require_same_machine(const RunInfo& earlier, const RunInfo& mine);

/// Collective: the turns that rank 0's file holds, on every rank. `file` is null elsewhere.
[[nodiscard]] FinishedTurns finished_turns(const Comm& comm, const RunReader* file);

}  // namespace gembench
