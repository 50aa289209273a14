#pragma once

#include <vector>

#include "harness/run/session.hpp"
#include "moe_layer/machine_state.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Seconds of one fixed-work probe: a quarter of a second by default, less with a short
/// --profile-seconds.
[[nodiscard]] double quiet_seconds(double profile_seconds);

/// Collective, outside of the timed sections, below 0.6 s: how quiet the machine is now, on rank 0
/// (without ranks elsewhere). All ranks work at the same time, as in measured steps.
[[nodiscard]] QuietState read_quiet(const Session& session);

/// What happens on the machine while steps are measured, from construction to finish().
class QuietMeter {
 public:
  explicit QuietMeter(const Session& session);
  /// Collective: fills in `uses` ([rank] on rank 0, created if empty), except the switches.
  void finish(std::vector<QuietUse>& uses) const;

 private:
  const Session& session_;
  MachineCounters before_;
};

}  // namespace gembench::inline run
