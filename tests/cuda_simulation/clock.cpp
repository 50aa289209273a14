// The clock of a simulated GPU. A process is a rank, and has one.

#include "tests/cuda_simulation/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "tests/cuda_simulation/environment.hpp"

namespace gembench::simulation {
namespace {

/// Offsets may be negative, and the clock shows no negative time.
constexpr std::int64_t kStart = 1'000'000'000'000;

std::int64_t passed = kStart;

std::int64_t host_time() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

bool is_virtual() {
  return settings().clock.is_virtual;
}

std::int64_t virtual_time() {
  return passed;
}

void pass_time(std::int64_t nanoseconds) {
  passed += nanoseconds;
}

void receive_time(std::int64_t sent) {
  passed = std::max(passed, sent + kMessage);
}

double event_time() {
  constexpr double kNanoseconds = 1e9;
  return is_virtual() ? static_cast<double>(passed) / kNanoseconds : now();
}

std::uint64_t read_clock() {
  // Drift counts from here, not from when the machine was started.
  static const std::int64_t first = host_time();
  const ClockSettings& clock = settings().clock;
  if (clock.is_virtual) pass_time(kReading);
  const std::int64_t begin = clock.is_virtual ? kStart : first;
  const std::int64_t now = clock.is_virtual ? passed : host_time();
  constexpr double kMillion = 1e6;
  const double apart = clock.offset + static_cast<double>(now - begin) * clock.drift / kMillion;
  const std::int64_t shown = now + std::llround(apart);
  return static_cast<std::uint64_t>(clock.step > 0 ? shown - shown % clock.step : shown);
}

Run with_time(Run run) {
  if (!is_virtual()) return run;
  return [run = std::move(run)] {
    const Progress progress = run();
    if (progress == Progress::done) pass_time(kPieceOfWork);
    return progress;
  };
}

}  // namespace gembench::simulation
