#include "harness/run/cpu_turns.hpp"

#include <sched.h>

#include <algorithm>
#include <span>
#include <utility>

#include "placement/base/index.hpp"

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

CpuTurns::CpuTurns(std::vector<int> cpus, int first) : cpus_(std::move(cpus)), at_(sz(first)) {}

CpuTurns::~CpuTurns() {
  if (cpus_.size() > 1) run_on(cpus_);
}

void CpuTurns::next() {
  if (cpus_.size() > 1) run_on({&cpus_[at_++ % cpus_.size()], 1});
}

}  // namespace gembench::inline run
