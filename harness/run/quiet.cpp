#include "harness/run/quiet.hpp"

#include <algorithm>
#include <sstream>

#include "moe_layer/cpu/noise_probe.hpp"

namespace gembench::inline run {
namespace {

std::vector<int> numbers_of(const std::string& text) {
  std::vector<int> numbers;
  std::istringstream in(text);
  for (int number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

}  // namespace

double quiet_seconds(double profile_seconds) {
  constexpr double kLongest = 0.25, kShortest = 0.02, kShare = 1.0 / 20;
  return std::clamp(profile_seconds * kShare, kShortest, kLongest);
}

QuietState read_quiet(const Session& session) {
  const Comm& comm = session.comm;
  session.progress.enter(Phase::prepare);
  comm.barrier();
  const NoiseReading mine = reduce(sample_noise(quiet_seconds(session.options.profile_seconds)));
  const QuietReading reading{mine.quantum, mine.lost, mine.lost_cpu, mine.longest};
  QuietState state;
  state.ranks = comm.gather(std::span<const QuietReading>(&reading, 1));
  const BarrierSkew skew =
      measure_barrier_skew(comm, session.topology, quiet_seconds(session.options.profile_seconds));
  state.barrier_skew_median = skew.median;
  state.barrier_skew_p99 = skew.p99;
  return state;
}

QuietMeter::QuietMeter(const Session& session)
    : session_(session), before_(machine_counters(session.place.cpus)) {}

void QuietMeter::finish(std::vector<QuietUse>& uses) const {
  const Comm& comm = session_.comm;
  const MachineCounters now = machine_counters(session_.place.cpus);
  const auto before = comm.gather(std::span<const MachineCounters>(&before_, 1));
  const auto after = comm.gather(std::span<const MachineCounters>(&now, 1));
  std::string text;
  for (const int cpu : session_.place.cpus) text += std::to_string(cpu) + " ";
  const auto cpus = comm.gather(text);
  if (comm.rank() != 0) return;
  uses.resize(before.size());
  // By shared memory, not by --ranks-per-node: these ranks share the CPUs.
  const std::vector<int>& node_of = comm.node_of();
  for (std::size_t first = 0; first < before.size(); ++first) {
    if (node_of[first] != static_cast<int>(first)) continue;
    std::vector<std::size_t> ranks;
    std::vector<std::vector<int>> their_cpus;
    std::vector<MachineCounters> their_before, their_after;
    for (std::size_t rank = first; rank < before.size(); ++rank) {
      if (node_of[rank] != node_of[first]) continue;
      ranks.push_back(rank);
      their_cpus.push_back(numbers_of(cpus[rank]));
      their_before.push_back(before[rank]);
      their_after.push_back(after[rank]);
    }
    const auto found = use_between(their_cpus, their_before, their_after);
    for (std::size_t i = 0; i < ranks.size(); ++i) {
      QuietUse& use = uses[ranks[i]];
      use.steal = found[i].steal;
      use.other_work = found[i].other;
      use.pressure = found[i].pressure;
    }
  }
}

}  // namespace gembench::inline run
