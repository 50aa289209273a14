#include "harness/run/state_sampler.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline run {
namespace {

/// `sum` is divided later. What is not reported is left out.
void add_to(double value, double& least, double& sum, double& most, std::int64_t& count) {
  if (std::isnan(value)) return;
  least = count == 0 ? value : std::min(least, value);
  most = count == 0 ? value : std::max(most, value);
  sum = (count == 0 ? 0 : sum) + value;
  ++count;
}

bool says_anything(const DeviceState& state) {
  return state.throttle_reasons >= 0 ||
         !(std::isnan(state.clock) && std::isnan(state.power) && std::isnan(state.temperature) &&
           std::isnan(state.energy));
}

}  // namespace

StateSampler::StateSampler(Read read, std::chrono::milliseconds period) : read_(std::move(read)) {
  reports_ = read_().has_value();
  if (!reports_) return;
  use_.readings = 0;
  thread_ = std::thread([this, period] { work(period); });
}

void StateSampler::work(std::chrono::milliseconds period) {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period, [this] { return ended_; })) {
    lock.unlock();  // the driver may take its time
    if (const auto state = read_()) add(*state);
    lock.lock();
  }
}

void StateSampler::add(const DeviceState& state) {
  if (!says_anything(state)) return;
  const double now = wall_seconds();
  if (use_.readings == 0) {
    first_seconds_ = now;
    first_energy_ = state.energy;
  }
  ++use_.readings;
  if (use_.readings > 1) {
    use_.seconds = now - first_seconds_;
    use_.energy = state.energy - first_energy_;
  }
  add_to(state.clock, use_.clock_min, use_.clock_mean, use_.clock_max, clocks_);
  add_to(state.power, use_.power_min, use_.power_mean, use_.power_max, powers_);
  add_to(state.temperature, use_.temperature_min, use_.temperature_mean, use_.temperature_max,
         temperatures_);
  if (state.throttle_reasons >= 0) {
    use_.throttle_reasons =
        std::max<std::int64_t>(use_.throttle_reasons, 0) | state.throttle_reasons;
  }
}

void StateSampler::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<GpuUse> StateSampler::finish() {
  stop();
  if (!reports_) return std::nullopt;
  // Over before the first period was: better the state right after the work than none.
  if (use_.readings == 0) {
    if (const auto state = read_()) add(*state);
  }
  GpuUse use = use_;
  if (clocks_ > 0) use.clock_mean /= static_cast<double>(clocks_);
  if (powers_ > 0) {
    // The GPU adds up its energy itself, and what it reports as power may be a mean already.
    const bool added = use.seconds > 0 && !std::isnan(use.energy);
    use.power_mean =
        added ? use.energy / use.seconds : use.power_mean / static_cast<double>(powers_);
  }
  if (temperatures_ > 0) use.temperature_mean /= static_cast<double>(temperatures_);
  return use;
}

}  // namespace gembench::inline run
