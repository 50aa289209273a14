#include "moe_layer/cpu/noise_probe.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/mpi/clock_offset.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline cpu {
namespace {

/// A chain of dependent multiplications, which nothing but the core's clock can speed up: some 5
/// cycles each, 20 to 50 us in all, so that reading two clocks around it is below 1 %.
constexpr int kLinks = 20'000;
std::uint64_t quantum_of_work(std::uint64_t value) {
  for (int link = 0; link < kLinks; ++link) {
    value = value * 6364136223846793005U + 1442695040888963407U;
  }
  return value;
}

double lost_share(const std::vector<double>& seconds, double undisturbed) {
  double lost = 0, all = 0;
  for (const double one : seconds) {
    lost += std::max(0.0, one - undisturbed);
    all += one;
  }
  return all > 0 ? lost / all : NoiseReading::kNone;
}

}  // namespace

NoiseSamples sample_noise(double seconds) {
  NoiseSamples samples;
  // Room beforehand: nothing is allocated, and no page touched first, between quanta.
  samples.wall.assign(kMostQuanta, 0);
  samples.cpu.assign(kMostQuanta, 0);
  volatile std::uint64_t kept = quantum_of_work(1);
  std::size_t count = 0;
  const double begin = wall_seconds();
  double wall = begin, cpu = thread_cpu_seconds();
  while (count < kMostQuanta && wall - begin < seconds) {
    kept = quantum_of_work(kept);
    const double wall_now = wall_seconds(), cpu_now = thread_cpu_seconds();
    samples.wall[count] = wall_now - wall;
    samples.cpu[count] = cpu_now - cpu;
    ++count;
    wall = wall_now;
    cpu = cpu_now;
  }
  samples.wall.resize(count);
  samples.cpu.resize(count);
  return samples;
}

NoiseReading reduce(const NoiseSamples& samples) {
  if (samples.wall.empty()) return {};
  const auto [fastest, slowest] = std::ranges::minmax(samples.wall);
  // A kernel may count a quantum's CPU time for the next one, so single quanta look too fast.
  const double fast = quantile(samples.cpu, NoiseReading::kFast);
  return {fastest, lost_share(samples.wall, fastest), lost_share(samples.cpu, fast),
          slowest - fastest};
}

BarrierSkew barrier_skew(std::span<const double> exits, std::span<const double> offsets) {
  const std::size_t ranks = offsets.size();
  const std::size_t barriers = ranks == 0 ? 0 : exits.size() / ranks;
  if (ranks < 2 || barriers == 0) return {};
  std::vector<double> skews;
  for (std::size_t barrier = 0; barrier < barriers; ++barrier) {
    double first = INFINITY, last = -INFINITY;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const double exit = exits[rank * barriers + barrier] + offsets[rank];
      first = std::min(first, exit);
      last = std::max(last, exit);
    }
    skews.push_back(last - first);
  }
  std::ranges::sort(skews);
  const std::size_t middle = barriers / 2;
  const double median = barriers % 2 == 1 ? skews[middle] : (skews[middle - 1] + skews[middle]) / 2;
  const auto rank99 = static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(barriers)));
  return {median, skews[std::max<std::size_t>(rank99, 1) - 1]};
}

BarrierSkew measure_barrier_skew(const Comm& comm, const Topology& topology, double seconds) {
  constexpr int kBatch = 10, kBatches = 5;
  if (comm.size() == 1) return {};
  std::vector<double> exits;
  const double begin = wall_seconds();
  comm.barrier();  // the first gathers ranks from whatever they did before
  for (int batch = 0; batch < kBatches; ++batch) {
    for (int i = 0; i < kBatch; ++i) {
      comm.barrier();
      exits.push_back(wall_seconds());
    }
    if (comm.max(wall_seconds() - begin) > seconds) break;  // the same answer on every rank
  }
  const auto clocks = clock_offsets(comm, topology);
  const auto all = comm.gather(std::span<const double>(exits));
  std::vector<double> offsets;
  for (const ClockOffset& clock : clocks) offsets.push_back(clock.seconds);
  return comm.rank() == 0 ? barrier_skew(all, offsets) : BarrierSkew{};
}

double measure_barrier_floor(const Comm& comm) {
  constexpr int kBarriers = 21;
  std::vector<double> seconds;
  comm.barrier();  // the first gathers ranks from whatever they did before
  for (int i = 0; i < kBarriers; ++i) {
    const double begin = wall_seconds();
    comm.barrier();
    seconds.push_back(wall_seconds() - begin);
  }
  std::ranges::nth_element(seconds, seconds.begin() + kBarriers / 2);
  return seconds[kBarriers / 2];
}

}  // namespace gembench::inline cpu
