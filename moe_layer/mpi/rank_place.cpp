#include "moe_layer/mpi/rank_place.hpp"

#include <fmt/format.h>
#include <hwloc.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "moe_layer/mpi/launch.hpp"

namespace gembench::inline mpi {
namespace {

namespace fs = std::filesystem;
/// Quotas are rounded when they are set.
constexpr double kQuotaSlack = 0.01;

/// The lowest CPU of the core that has this hardware thread; itself where hwloc knows no core.
int core_of(hwloc_topology_t topology, int cpu) {
  const hwloc_obj_t thread = hwloc_get_pu_obj_by_os_index(topology, static_cast<unsigned>(cpu));
  if (thread == nullptr) return cpu;
  const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, thread);
  // The complete set: ranks that may use different threads of a core must use the same name for it.
  const int first = core == nullptr ? -1 : hwloc_bitmap_first(core->complete_cpuset);
  return first < 0 ? cpu : first;
}

void add_allowed_cpus(RankPlace& place) {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return;
  hwloc_cpuset_t bound = hwloc_bitmap_alloc();
  if (hwloc_topology_load(topology) == 0 &&
      hwloc_get_cpubind(topology, bound, HWLOC_CPUBIND_PROCESS) == 0) {
    // The topology's allowed set leaves out what the cgroup's cpuset forbids.
    hwloc_bitmap_and(bound, bound, hwloc_topology_get_allowed_cpuset(topology));
    for (int cpu = hwloc_bitmap_first(bound); cpu >= 0; cpu = hwloc_bitmap_next(bound, cpu)) {
      place.cpus.push_back(cpu);
      place.cores.push_back(core_of(topology, cpu));
    }
  }
  hwloc_bitmap_free(bound);
  hwloc_topology_destroy(topology);
}

/// CPUs that this folder of a cgroup hierarchy grants, 0 = no limit.
double quota_in(const fs::path& folder, bool v2) {
  double quota = 0, period = 0;
  if (v2) {
    std::string text;
    if (!(std::ifstream(folder / "cpu.max") >> text >> period) || text == "max") return 0;
    quota = std::strtod(text.c_str(), nullptr);
  } else {
    std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
    std::ifstream(folder / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

/// Whether every rank can have one of its choices for itself. Augmenting paths (Kuhn): place rank
/// r, moving others to another of their choices if needed.
bool one_each(const std::vector<std::vector<int>>& choices) {
  std::map<int, std::size_t> taken_by;
  for (std::size_t r = 0; r < choices.size(); ++r) {
    std::vector<int> tried;
    const std::function<bool(std::size_t)> place = [&](std::size_t rank) {
      for (const int choice : choices[rank]) {
        if (std::find(tried.begin(), tried.end(), choice) != tried.end()) continue;
        tried.push_back(choice);
        const auto taken = taken_by.find(choice);
        if (taken == taken_by.end() || place(taken->second)) {
          taken_by[choice] = rank;
          return true;
        }
      }
      return false;
    };
    if (!place(r)) return false;
  }
  return true;
}

bool quotas_suffice(const std::vector<RankPlace>& ranks) {
  struct Group {
    double cpus = INFINITY, ranks = 0;
  };
  std::map<std::string, Group> groups;
  for (const RankPlace& rank : ranks) {
    for (const CpuQuota& quota : rank.quotas) {
      Group& group = groups[quota.group];
      group.cpus = std::min(group.cpus, quota.cpus);
      ++group.ranks;
    }
  }
  return std::ranges::all_of(
      groups, [](const auto& one) { return one.second.cpus + kQuotaSlack >= one.second.ranks; });
}

std::string to_text(const RankPlace& place) {
  std::string text = place.host + "\n";
  for (const auto* numbers : {&place.cpus, &place.cores}) {
    for (const int number : *numbers) text += fmt::format("{} ", number);
    text += "\n";
  }
  for (const CpuQuota& quota : place.quotas) {
    text += fmt::format("{}\n{}\n", quota.group, quota.cpus);
  }
  return text;
}

RankPlace to_place(const std::string& text) {
  std::istringstream in(text);
  RankPlace place;
  std::getline(in, place.host);
  for (auto* numbers : {&place.cpus, &place.cores}) {
    std::string line;
    std::getline(in, line);
    std::istringstream words(line);
    for (int number = 0; words >> number;) numbers->push_back(number);
  }
  for (std::string group, cpus; std::getline(in, group) && std::getline(in, cpus);) {
    place.quotas.push_back({group, std::strtod(cpus.c_str(), nullptr)});
  }
  return place;
}

}  // namespace

std::vector<CpuQuota> cpu_quotas(const fs::path& root) {
  std::vector<CpuQuota> quotas;
  std::ifstream groups(root / "proc/self/cgroup");
  // "0::/path" of v2, "4:cpu,cpuacct:/path" of v1. In a container the path may not exist in its own
  // /sys; the top group of that /sys is then its own.
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool v2 = controllers == ",,";
    if (!v2 && controllers.find(",cpu,") == std::string::npos) continue;
    const fs::path top = root / (v2 ? "sys/fs/cgroup" : "sys/fs/cgroup/cpu");
    std::string path = line.substr(second + 1);
    while (true) {
      while (path.ends_with('/')) path.pop_back();
      const fs::path folder = path.empty() ? top : top / path.substr(1);
      if (const double cpus = quota_in(folder, v2); cpus > 0) {
        quotas.push_back({fmt::format("{}{}", v2 ? "" : "cpu:", path.empty() ? "/" : path), cpus});
      }
      const auto slash = path.rfind('/');
      if (slash == std::string::npos) break;
      path.resize(slash);
    }
  }
  return quotas;
}

RankPlace place_of_this_rank() {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  RankPlace place{host, {}, {}, cpu_quotas()};
  add_allowed_cpus(place);
  return place;
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

std::string_view name_of(Sharing sharing) {
  constexpr std::string_view kNames[] = {"nothing", "cores", "CPUs", "a CPU quota"};
  return kNames[static_cast<std::size_t>(sharing)];
}

Sharing sharing_of(const std::vector<RankPlace>& ranks) {
  if (!quotas_suffice(ranks)) return Sharing::quota;
  std::vector<std::vector<int>> cpus, cores;
  for (const RankPlace& rank : ranks) {
    cpus.push_back(rank.cpus);
    cores.push_back(rank.cores.empty() ? rank.cpus : rank.cores);
  }
  return one_each(cores) ? Sharing::nothing : one_each(cpus) ? Sharing::cores : Sharing::cpus;
}

bool ranks_share_cpus_before_mpi() {
  const RankPlace mine = place_of_this_rank();
  double cpus = static_cast<double>(mine.cpus.size());
  for (const CpuQuota& quota : mine.quotas) cpus = std::min(cpus, quota.cpus);
  // A rank bound to some CPUs says nothing about the others', so only "more ranks than all the
  // CPUs this process may use" counts; yielding when idle costs bound ranks nothing measurable.
  return launched_as().local_size > cpus;
}

Sharing sharing_of_all(const Comm& comm, const RankPlace& mine) {
  std::vector<int> worst{0};
  if (const auto texts = comm.gather(to_text(mine)); comm.rank() == 0) {
    std::map<std::string, std::vector<RankPlace>> nodes;
    for (const std::string& text : texts) {
      const RankPlace place = to_place(text);
      nodes[place.host].push_back(place);
    }
    for (const auto& [host, ranks] : nodes) {
      worst[0] = std::max(worst[0], static_cast<int>(sharing_of(ranks)));
    }
  }
  comm.broadcast(worst);
  return static_cast<Sharing>(worst[0]);
}

std::string hwloc_version() {
  return fmt::format("hwloc {}.{}", HWLOC_API_VERSION >> 16, HWLOC_API_VERSION >> 8 & 0xff);
}

}  // namespace gembench::inline mpi
