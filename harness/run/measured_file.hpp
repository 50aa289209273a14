#pragma once

#include <functional>
#include <vector>

#include "harness/run/quiet.hpp"
#include "harness/run/session.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {

/// A profile as it is stored, and how quiet the machine was around it; complete on rank 0.
struct MeasuredFile {
  ProfileFile file;
  QuietState before, after;
  std::vector<QuietUse> during;         ///< [rank]
  std::vector<GpuUse> gpu_during = {};  ///< [rank]; empty: no GPUs
};

/// Collective: what `measure` makes, with the states of devices and machine before and after it.
/// `anonymous`: without names of hosts and devices.
[[nodiscard]] MeasuredFile measure_file(Session& session, bool anonymous,
                                        const std::function<MeasuredProfile()>& measure);

}  // namespace gembench::inline run
