#pragma once

#include "harness/run/measure.hpp"
#include "results/run_reader.hpp"

namespace gembench::inline run {

enum class Earlier {
  nothing,     ///< no file: nothing was measured
  unfinished,  ///< a file with segments to keep
  complete     ///< FILE
};
/// The state that --resume finds at --output.
struct FoundRun {
  Earlier state = Earlier::nothing;
  std::string path;       ///< of the file
  bool replaces = false;  ///< FILE exists too and will be replaced by the continued run
  std::string remark;     ///< for the user: which of two files is used, and why; or empty
};
/// FILE is used if it is complete and no FILE.partial is newer; an interrupted run with --overwrite
/// leaves a newer one. An incomplete FILE (older versions could leave one) is continued like
/// FILE.partial.
[[nodiscard]] FoundRun find_earlier(const std::string& output);

// What an earlier run and this one must have in common; otherwise profile and numbers would not
// belong to one run. Usage errors that name the first difference.

/// What --config-from needs to run a file's placements again: its strategies, ranks and loads
/// (digest).
void require_replayable(const RunInfo& earlier, const std::vector<std::string>& strategies,
                        int ranks, const std::string& trace_digest);

/// Requires equal ranks and options (JSON).
void require_same_command(const RunInfo& earlier, int ranks, const std::string& config);
/// Requires that both are --anonymous, or none: the file keeps the names that it has, or lacks.
void require_same_anonymity(const RunInfo& earlier, bool anonymous);
/// Requires equal loads (digest).
void require_same_loads(const RunInfo& earlier, const std::string& trace_digest);
/// Requires equal program, device, clock and nodes.
void require_same_machine(const RunInfo& earlier, const RunInfo& mine);

/// "last at NOW", and what differs all the same: the file's fact `resumed`.
[[nodiscard]] std::string describe_resumption(const RunInfo& earlier, const RunInfo& mine,
                                              const std::string& now);

/// Whether the experts of all placements stay in memory.
[[nodiscard]] bool kept_resident(const RunInfo& earlier);

/// Collective: the segments that rank 0's file holds, on every rank. `file` is null elsewhere.
[[nodiscard]] FinishedSegments finished_segments(const Comm& comm, const RunReader* file);

}  // namespace gembench::inline run
