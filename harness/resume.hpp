#pragma once

#include "harness/measure.hpp"
#include "results/run_reader.hpp"

namespace gembench {

/// What --resume finds under --output.
enum class Earlier {
  nothing,     ///< no file, or one that ended before its first step
  unfinished,  ///< FILE.partial with turns to keep
  complete     ///< FILE
};
[[nodiscard]] Earlier find_earlier(const std::string& output);

/// Refuses (usage error that names the first difference) to continue a file whose run differs from
/// `mine` in options, loads, program, device, clock or nodes: its profile and its numbers would not
/// be of one run.
void require_same_run(const RunInfo& earlier, const RunInfo& mine);

/// Collective: the turns that rank 0's file holds, on every rank. `file` is null elsewhere.
[[nodiscard]] FinishedTurns finished_turns(const Comm& comm, const RunReader* file);

}  // namespace gembench
