#include "moe_layer/clock.hpp"

#include <fmt/format.h>
#include <hwloc.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

namespace gembench {
namespace {

double seconds_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return cpus;
  hwloc_cpuset_t bound = hwloc_bitmap_alloc();
  if (hwloc_topology_load(topology) == 0 &&
      hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0) {
    // The topology's allowed set leaves out what the cgroup's cpuset forbids.
    hwloc_bitmap_and(bound, bound, hwloc_topology_get_allowed_cpuset(topology));
    for (int cpu = hwloc_bitmap_first(bound); cpu >= 0; cpu = hwloc_bitmap_next(bound, cpu)) {
      cpus.push_back(cpu);
    }
  }
  hwloc_bitmap_free(bound);
  hwloc_topology_destroy(topology);
  return cpus;
}

/// cgroup v2 `cpu.max` ("quota period" or "max period"), else v1; 0 = no limit.
double cgroup_cpu_quota() {
  std::string quota;
  double period = 0;
  if (std::ifstream("/sys/fs/cgroup/cpu.max") >> quota >> period && quota != "max" && period > 0) {
    return std::atof(quota.c_str()) / period;
  }
  double v1_quota = 0;
  std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> v1_quota;
  std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  return v1_quota > 0 && period > 0 ? v1_quota / period : 0;
}

}  // namespace

std::string_view name_of(Clock clock) {
  return clock == Clock::wall ? "wall" : "cpu-time";
}
double wall_seconds() {
  return seconds_of(CLOCK_MONOTONIC);
}
double thread_cpu_seconds() {
  return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

RankPlace place_of_this_rank() {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  return {host, allowed_cpus(), cgroup_cpu_quota()};
}

std::string cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpus[i]);
    if (last > i) text += fmt::format("-{}", cpus[last]);
    i = last + 1;
  }
  return text;
}

bool own_cpu_each(const std::vector<RankPlace>& ranks) {
  std::map<int, std::size_t> taken_by;
  // Augmenting paths (Kuhn): place rank r, moving others to another CPU of theirs where needed.
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (ranks[r].cpu_quota > 0 && ranks[r].cpu_quota + 0.01 < static_cast<double>(ranks.size())) {
      return false;
    }
    std::vector<int> tried;
    const std::function<bool(std::size_t)> place = [&](std::size_t rank) {
      for (const int cpu : ranks[rank].cpus) {
        if (std::find(tried.begin(), tried.end(), cpu) != tried.end()) continue;
        tried.push_back(cpu);
        const auto taken = taken_by.find(cpu);
        if (taken == taken_by.end() || place(taken->second)) {
          taken_by[cpu] = rank;
          return true;
        }
      }
      return false;
    };
    if (!place(r)) return false;
  }
  return true;
}

bool ranks_share_cpus_before_mpi() {
  const RankPlace mine = place_of_this_rank();
  double cpus = static_cast<double>(mine.cpus.size());
  if (mine.cpu_quota > 0) cpus = std::min(cpus, mine.cpu_quota);
  // A rank bound to some CPUs says nothing about the others', so only "more ranks than all the
  // CPUs this process may use" counts; yielding when idle costs bound ranks nothing measurable.
  return launched_as().local_size > cpus;
}

bool every_rank_has_own_cpu(const Comm& comm, const RankPlace& mine) {
  std::string text = mine.host + "\n" + fmt::format("{}\n", mine.cpu_quota);
  for (const int cpu : mine.cpus) text += fmt::format("{} ", cpu);
  bool all = true;
  if (const auto texts = comm.gather(text); comm.rank() == 0) {
    std::map<std::string, std::vector<RankPlace>> nodes;
    for (const std::string& one : texts) {
      std::istringstream in(one);
      RankPlace place;
      std::getline(in, place.host);
      in >> place.cpu_quota;
      for (int cpu = 0; in >> cpu;) place.cpus.push_back(cpu);
      nodes[place.host].push_back(place);
    }
    for (const auto& [host, ranks] : nodes) all = all && own_cpu_each(ranks);
  }
  std::vector<int> verdict{all ? 1 : 0};
  comm.broadcast(verdict);
  return verdict[0] == 1;
}

std::string hwloc_version() {
  return fmt::format("hwloc {}.{}", HWLOC_API_VERSION >> 16, HWLOC_API_VERSION >> 8 & 0xff);
}

}  // namespace gembench
