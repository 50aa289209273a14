#include "harness/run/cpu_turns.hpp"

#include <sched.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "placement/base/index.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline run {
namespace {

void run_on(std::span<const int> cpus) {
  const int most = std::ranges::max(cpus) + 1;
  cpu_set_t* set = CPU_ALLOC(most);
  if (set == nullptr) return;
  const std::size_t size = CPU_ALLOC_SIZE(most);
  CPU_ZERO_S(size, set);
  for (const int cpu : cpus) CPU_SET_S(cpu, size, set);
  static_cast<void>(sched_setaffinity(0, size, set));  // else it stays where it is
  CPU_FREE(set);
}

}  // namespace

std::size_t cpu_in_round(std::size_t round, int rank, int ranks, std::size_t cpus) {
  const std::size_t cycle = round / sz(ranks);
  std::vector<std::size_t> places(sz(ranks));
  std::iota(places.begin(), places.end(), std::size_t{0});
  Random(cycle).shuffle(places);  // the same on all ranks
  // The cycle's number moves the places that share a CPU on to the next one.
  return ((places[sz(rank)] + round) % sz(ranks) + cycle) % cpus;
}

CpuTurns::CpuTurns(std::vector<int> cpus, int rank, int ranks)
    : cpus_(std::move(cpus)), rank_(rank), ranks_(ranks) {}

CpuTurns::~CpuTurns() {
  if (cpus_.size() > 1) run_on(cpus_);
}

void CpuTurns::next() {
  if (cpus_.size() > 1) run_on({&cpus_[cpu_in_round(round_++, rank_, ranks_, cpus_.size())], 1});
}

}  // namespace gembench::inline run
