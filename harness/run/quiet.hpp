#pragma once

#include <vector>

#include "harness/run/session.hpp"
#include "moe_layer/machine_state.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Seconds of one fixed-work probe: a quarter of a second by default, less where --profile-seconds
/// asks for haste.
[[nodiscard]] double quiet_seconds(double profile_seconds);

/// Collective, off the clock, below 0.6 s: how quiet the machine is now, on rank 0 (without ranks
/// elsewhere). All ranks work at once, as they do when steps are measured.
[[nodiscard]] QuietState read_quiet(const Session& session);

/// What happens on the machine while steps are measured, from construction to finish().
class QuietMeter {
 public:
  explicit QuietMeter(const Session& session);
  /// Collective: fills in `uses` ([rank] on rank 0, made where it is empty) but for the switches.
  void finish(std::vector<QuietUse>& uses) const;

 private:
  const Session& session_;
  MachineCounters before_;
};

}  // namespace gembench::inline run
