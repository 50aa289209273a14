#pragma once

#include <string>
#include <string_view>

#include "moe_layer/mpi/rank_place.hpp"

namespace gembench::inline mpi {

/// Which clock a run's times come from; see README.md. On gpu_stamps what the host times is on
/// wall.
enum class Clock { wall, cpu_time, gpu_stamps };
[[nodiscard]] std::string_view name_of(Clock clock);

[[nodiscard]] double wall_seconds();        ///< CLOCK_MONOTONIC
[[nodiscard]] double thread_cpu_seconds();  ///< CLOCK_THREAD_CPUTIME_ID
[[nodiscard]] inline double read(Clock clock) {
  return clock == Clock::cpu_time ? thread_cpu_seconds() : wall_seconds();
}

/// A clock, and the reason for choosing it or not.
struct ClockChoice {
  Clock clock = Clock::wall;
  std::string reason;
};
/// `asked`: --clock, "auto", "wall" or "cpu-time"; `sharing`: what ranks on CPUs share.
[[nodiscard]] ClockChoice clock_for(std::string_view asked, Sharing sharing);

}  // namespace gembench::inline mpi
