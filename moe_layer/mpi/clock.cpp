#include "moe_layer/mpi/clock.hpp"

#include <ctime>

namespace gembench::inline mpi {
namespace {

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

std::string_view name_of(Clock clock) {
  switch (clock) {
    case Clock::wall:
      return "wall";
    case Clock::cpu_time:
      return "cpu-time";
    case Clock::gpu_stamps:
      return "gpu-stamps";
  }
  return "?";
}
double wall_seconds() {
  return seconds_of(CLOCK_MONOTONIC);
}
double thread_cpu_seconds() {
  return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

ClockChoice clock_for(std::string_view asked, Sharing sharing) {
  const bool own = sharing == Sharing::nothing;
  const std::string shared = sharing == Sharing::cores ? "ranks share cores" : "ranks share CPUs";
  if (asked == "auto") {
    if (own) return {Clock::wall, "every rank has a CPU of its own"};
    const char* why =
        sharing == Sharing::cores   ? ": hardware threads of one core are not CPUs of their own"
        : sharing == Sharing::quota ? ": their control group may use fewer CPUs than it has ranks"
                                    : "";
    return {Clock::cpu_time, shared + why};
  }
  const Clock clock = asked == "wall" ? Clock::wall : Clock::cpu_time;
  std::string reason = own ? "as asked" : "as asked; " + shared;
  if (clock == Clock::wall && !own) reason += ", waits are not trustworthy";
  return {clock, reason};
}

}  // namespace gembench::inline mpi
