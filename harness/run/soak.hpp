#pragma once

#include <optional>
#include <string>

#include "harness/run/session.hpp"
#include "harness/run/steadiness.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

inline constexpr double kAutoSoak = 180;  ///< s, at most, on GPUs

/// The longest soak in s, of --soak; 0 = none. Auto: on GPUs that report a temperature or a clock.
[[nodiscard]] double soak_limit(std::optional<double> asked, bool gpu, bool reports);
/// The rule for a soak of at most so many seconds, of which the window is a quarter at most.
[[nodiscard]] SteadyRule steady_rule(double limit);

/// Collective: runs untimed steps of the workload under `placement`, whose experts must be there,
/// until all ranks are steady, or for as long as --soak allows. Leaves `placement` in use. Changes
/// no result: every step that follows is loaded anew. `kept` as for throw_if_stopped(). The record
/// is complete on rank 0.
[[nodiscard]] SoakRecord soak(Session& session, const Placement& placement,
                              const std::string& kept);

}  // namespace gembench::inline run
