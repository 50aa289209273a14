#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "results/run_file.hpp"

namespace gembench::inline run {

/// The first difference between two runs.
struct RunDifference {
  std::string what;           ///< "--steps", "loads", ...
  std::string earlier, mine;  ///< of the two
};

// The first difference of a kind, if any.

/// Number of ranks and options (JSON), except the options `ignored`.
[[nodiscard]] std::optional<RunDifference> other_command(
    const RunInfo& earlier, int ranks, const std::string& config,
    const std::vector<std::string>& ignored = {});
/// Loads, by their digest.
[[nodiscard]] std::optional<RunDifference> other_loads(const RunInfo& earlier,
                                                       const std::string& trace_digest);
[[nodiscard]] std::optional<RunDifference> other_program(const RunInfo& earlier,
                                                         const RunInfo& mine);
/// Device and clock.
[[nodiscard]] std::optional<RunDifference> other_device(const RunInfo& earlier,
                                                        const RunInfo& mine);
/// Program, device and clock.
[[nodiscard]] std::optional<RunDifference> other_machine(const RunInfo& earlier,
                                                         const RunInfo& mine);
/// The nodes that ranks ran on.
[[nodiscard]] std::optional<RunDifference> other_nodes(const RunInfo& earlier, const RunInfo& mine);
/// How a GPU computes experts' products, as its device said; empty: nothing was said.
[[nodiscard]] std::string products_of(const RunInfo& info);
/// The same, which is measured at each start; the same on all ranks.
[[nodiscard]] std::optional<RunDifference> other_products(const RunInfo& earlier,
                                                          const RunInfo& mine);

/// The same of two files' facts of ranks, where both say it.
[[nodiscard]] std::optional<RunDifference> other_known_products(
    const std::map<std::string, std::vector<std::string>>& earlier,
    const std::map<std::string, std::vector<std::string>>& mine);

/// A fact of the file; "none" if it is missing.
[[nodiscard]] std::string fact_of(const RunInfo& info, const char* name);

}  // namespace gembench::inline run
