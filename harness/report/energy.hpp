#pragma once

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "results/run_reader.hpp"

/// The energy that GPUs used while steps were measured, from the series of results.h5.
namespace gembench::inline report {

/// Fewer readings of a GPU say nothing about an interval.
inline constexpr std::size_t kLeastSamplesOfRun = 5, kLeastSamplesOfBlock = 10;
/// A placement's energy is told if blocks with so many readings hold this share of its tokens.
inline constexpr double kLeastCovered = 0.5;

/// What one GPU used in an interval, extended to all of it from its first reading to its last.
struct GpuEnergy {
  double joules = 0;
  std::size_t samples = 0;
  bool counted = false;  ///< by the GPU's own counter; else the integral of its power
};
/// `samples`: of one job, by time. None with fewer than `least` readings in [begin, end], or where
/// neither energy nor power is known.
[[nodiscard]] std::optional<GpuEnergy> energy_in(std::span<const StateSample> samples, double begin,
                                                 double end, std::size_t least);

/// Energy of all GPUs, each counted once.
struct EnergyUse {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double joules = kNone;
  double seconds = kNone;         ///< of the intervals that it was used in
  double step_seconds = kNone;    ///< of them in measured steps
  double per_token = kNone;       ///< J; a token passes all layers
  double per_assignment = kNone;  ///< J; a token has top-k in every layer
  double unsure = kNone;          ///< share: two readings of the intervals
  [[nodiscard]] bool known() const { return per_token == per_token; }
};
struct RunEnergy {
  /// From the first measured step to the last of every start of the run: all placements, and all
  /// that was between steps, such as steps that are discarded after a switch or checked. Their
  /// energy counts, their tokens do not.
  EnergyUse all;
  /// Of a placement's blocks alone, what is between their steps included; unknown where blocks are
  /// too short.
  std::vector<EnergyUse> placements;
  bool counted = false;  ///< as GpuEnergy, all of it
  int gpus = 0;
  double block_seconds = EnergyUse::kNone;  ///< median block
  /// Share of the measured tokens in starts of the run whose energy is known, which `all` is of.
  double covered = EnergyUse::kNone;
};
/// `step_seconds`: [placement][step] measured, slowest rank.
[[nodiscard]] RunEnergy energy_of(const RunReader& file,
                                  const std::vector<std::vector<double>>& step_seconds);

/// "energy: 0.12 J a token ...", without an end of line; empty if it is not known.
[[nodiscard]] std::string energy_line(const RunReader& file, const RunEnergy& energy);

}  // namespace gembench::inline report
