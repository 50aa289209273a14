#include "harness/run/state_sampler.hpp"

#include <pthread.h>
#include <sched.h>

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

/// This thread leaves a CPU to whoever runs there, if it may run on another.
void keep_off(int cpu) {
  cpu_set_t mine;
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  if (pthread_getaffinity_np(pthread_self(), sizeof mine, &mine) != 0) return;
  CPU_CLR(cpu, &mine);
  if (CPU_COUNT(&mine) > 0) {  // else, or where it is refused, it stays where it is
    static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof mine, &mine));
  }
}

}  // namespace

StateSampler::StateSampler(Read read, std::chrono::milliseconds period)
    : read_(std::move(read)), makers_cpu_(sched_getcpu()) {
  reports_ = read_().has_value();
  if (!reports_) return;
  use_.readings = 0;
  thread_ = std::thread([this, period] { work(period); });
}

void StateSampler::work(std::chrono::milliseconds period) {
  keep_off(makers_cpu_);
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, period, [this] { return ended_; })) {
    lock.unlock();  // the driver may take its time
    try {
      read_once();
    } catch (...) {  // told by take() and finish()
      lock.lock();
      failure_ = std::current_exception();
      return;
    }
    lock.lock();
  }
}

void StateSampler::read_once() {
  const double before = wall_seconds();
  const auto state = read_();
  const double after = wall_seconds();
  if (!state) return;
  const std::lock_guard lock(mutex_);
  keep(*state, before, after);
  add(*state, (before + after) / 2);
}

void StateSampler::keep(const DeviceState& state, double before, double after) {
  const auto row = rows_.next();
  if (!row) return;
  samples_.resize(std::max(samples_.size(), *row + 1));
  samples_[*row] = {.time = (before + after) / 2,
                    .took = after - before,
                    .clock = state.clock,
                    .memory_clock = state.memory_clock,
                    .power = state.power,
                    .temperature = state.temperature,
                    .energy = state.energy,
                    .throttle_reasons = state.throttle_reasons};
}

void StateSampler::add(const DeviceState& state, double now) {
  if (!says_anything(state)) return;
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

void StateSampler::begin() {
  const std::lock_guard lock(mutex_);
  use_ = {};
  use_.readings = 0;
  clocks_ = powers_ = temperatures_ = 0;
}

std::vector<StateSample> StateSampler::take() {
  const std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
  rows_ = ThinnedRows(kMost);
  std::vector<StateSample> taken = std::exchange(samples_, {});
  std::ranges::sort(taken, {}, &StateSample::time);
  return taken;
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
  if (failure_) std::rethrow_exception(failure_);
  if (!reports_) return std::nullopt;
  // Over before the first period was: better the state right after the work than none.
  if (use_.readings == 0) read_once();
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

std::vector<std::vector<StateSample>> gather_samples(const Comm& comm,
                                                     std::vector<StateSample> mine) {
  const auto count = static_cast<std::int64_t>(mine.size());
  const auto counts = comm.gather(std::span<const std::int64_t>(&count, 1));
  // gather() wants as many from every rank.
  mine.resize(static_cast<std::size_t>(comm.max(static_cast<double>(count))));
  const auto gathered = comm.gather(std::span<const StateSample>(mine));
  std::vector<std::vector<StateSample>> all;
  for (std::size_t rank = 0; rank < counts.size(); ++rank) {
    const auto first = gathered.begin() + static_cast<std::ptrdiff_t>(rank * mine.size());
    all.emplace_back(first, first + counts[rank]);
  }
  return all;
}

}  // namespace gembench::inline run
