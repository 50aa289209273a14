#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "moe_layer/mpi/comm.hpp"
#include "moe_layer/mpi/topology.hpp"

namespace gembench::inline cpu {

/// Durations of the same small piece of work, repeated without a gap: fixed work quanta (FWQ). The
/// time of a piece beyond the fastest was lost to something else.
struct NoiseSamples {
  std::vector<double> wall, cpu;  ///< [quantum] s by the wall clock and by thread CPU time
};
/// Runs for this long, at most kMostQuanta. The work is the same on every rank and machine.
[[nodiscard]] NoiseSamples sample_noise(double seconds);
inline constexpr std::size_t kMostQuanta = 1 << 16;

/// NaN = not measured.
struct NoiseReading {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  static constexpr double kFast = 0.05;
  double quantum = kNone;   ///< s, the fastest quantum
  double lost = kNone;      ///< share of the time: sum of (quantum - fastest) / sum of quanta
  double lost_cpu = kNone;  ///< the same of thread CPU time, beyond the fast ones (quantile kFast):
                            ///< other work on this CPU does not count, slower clocks, shared caches
                            ///< and hardware threads do
  double longest = kNone;   ///< s, the slowest quantum beyond the fastest: the longest pause
};
[[nodiscard]] NoiseReading reduce(const NoiseSamples& samples);

/// Time between the first and the last rank that leaves the same barrier, seconds; NaN = unknown.
struct BarrierSkew {
  double median = std::numeric_limits<double>::quiet_NaN();
  double p99 = std::numeric_limits<double>::quiet_NaN();
};
/// `exits`: [rank][barrier] s on each rank's clock; `offsets`: [rank] what to add to compare them.
[[nodiscard]] BarrierSkew barrier_skew(std::span<const double> exits,
                                       std::span<const double> offsets);
/// Collective, for about `seconds` at most and 10 to 50 barriers; on rank 0, NaN elsewhere and
/// where there is one rank only.
[[nodiscard]] BarrierSkew measure_barrier_skew(const Comm& comm, const Topology& topology,
                                               double seconds);

/// Collective: seconds that a barrier takes on this rank though all ranks arrive together, the
/// median of 21. Every barrier wait contains about as much.
[[nodiscard]] double measure_barrier_floor(const Comm& comm);

}  // namespace gembench::inline cpu
