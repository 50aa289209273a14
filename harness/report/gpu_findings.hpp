#pragma once

#include <string>
#include <vector>

#include "results/run_reader.hpp"

namespace gembench::inline report {

/// Clocks that differ by more between placements are told.
inline constexpr double kClockDrift = 0.01;

/// What the GPUs' state says against a comparison, from the series of results.h5, a sentence each:
/// clocks held down, clocks that differed between placements (where blocks have so many readings
/// that they tell, as for energy), devices that were not steady. At most
/// a few of each kind, and then how many more.
[[nodiscard]] std::vector<std::string> gpu_findings(const RunReader& file);

/// That devices were not steady `before` something; empty: they were, or there was no soak.
[[nodiscard]] std::string unsteady_sentence(const SoakRecord& soak, const char* before);

}  // namespace gembench::inline report
