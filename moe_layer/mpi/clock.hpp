#pragma once

#include <string>
#include <string_view>

#include "moe_layer/mpi/rank_place.hpp"

namespace gembench::inline mpi {

/// Which clock a run's times come from; see README.md.
enum class Clock { wall, cpu_time };
[[nodiscard]] std::string_view name_of(Clock clock);

[[nodiscard]] double wall_seconds();        ///< CLOCK_MONOTONIC
[[nodiscard]] double thread_cpu_seconds();  ///< CLOCK_THREAD_CPUTIME_ID
[[nodiscard]] inline double read(Clock clock) {
  return clock == Clock::wall ? wall_seconds() : thread_cpu_seconds();
}

/// A clock, and the reason for choosing it or not.
struct ClockChoice {
  Clock clock = Clock::wall;
  std::string reason;
};
/// `asked`: --clock, "auto", "wall" or "cpu-time"; `sharing`: what ranks on CPUs share.
[[nodiscard]] ClockChoice clock_for(std::string_view asked, Sharing sharing);

}  // namespace gembench::inline mpi
