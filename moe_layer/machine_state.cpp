#include "moe_layer/machine_state.hpp"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline moe_layer {
namespace {

namespace fs = std::filesystem;
constexpr double kNone = MachineCounters::kNone;

std::string read_line(const fs::path& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

double process_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// "some avg10=... avg60=... avg300=... total=MICROSECONDS"
double pressure_seconds(const fs::path& root) {
  std::ifstream in(root / "proc/pressure/cpu");
  for (std::string line; std::getline(in, line);) {
    const auto total = line.find("total=");
    if (line.starts_with("some ") && total != std::string::npos) {
      return std::strtod(line.c_str() + total + 6, nullptr) * 1e-6;
    }
  }
  return kNone;
}

/// The lines "cpuN user nice system idle iowait irq softirq steal ..." of these CPUs. Guests' time
/// is in "user" already.
void add_stat(MachineCounters& counters, const std::vector<int>& cpus, const fs::path& root) {
  enum Field { user, nice, system, idle, iowait, irq, softirq, steal, count };
  const double tick = 1.0 / static_cast<double>(std::max(1L, sysconf(_SC_CLK_TCK)));
  double busy = 0, stolen = 0, counted = 0;
  std::size_t found = 0;
  std::ifstream in(root / "proc/stat");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("cpu") || line.size() < 4 || std::isdigit(line[3]) == 0) continue;
    std::istringstream words(line.substr(3));
    int cpu = -1;
    double field[count] = {};
    words >> cpu;
    for (double& value : field) words >> value;  // older kernels have fewer: 0
    if (!std::ranges::binary_search(cpus, cpu)) continue;
    ++found;
    busy += field[user] + field[nice] + field[system] + field[irq] + field[softirq];
    stolen += field[steal];
    counted += field[idle] + field[iowait];
  }
  if (found == 0 || found < cpus.size()) return;
  counters.busy = busy * tick;
  counters.steal = stolen * tick;
  counters.counted = (busy + stolen + counted) * tick;
}

double share(double part, double whole) {
  return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : kNone;
}

/// Own CPU time of all ranks that use the CPUs of `rank`; NaN if some use only part of them.
double own_on_cpus(const std::vector<std::vector<int>>& cpus, const std::vector<double>& own,
                   std::size_t rank) {
  double sum = 0;
  for (std::size_t other = 0; other < cpus.size(); ++other) {
    if (cpus[other] == cpus[rank]) {
      sum += own[other];
    } else if (std::ranges::any_of(cpus[other], [&](int cpu) {
                 return std::ranges::binary_search(cpus[rank], cpu);
               })) {
      return kNone;
    }
  }
  return sum;
}

std::string on_off(const fs::path& path, char on) {
  const std::string text = read_line(path);
  return text.size() != 1 ? "" : text[0] == on ? "on" : "off";
}

std::string numa_nodes(const fs::path& root) {
  int nodes = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "sys/devices/system/node", none)) {
    const std::string name = entry.path().filename();
    nodes += name.starts_with("node") && name.size() > 4 && std::isdigit(name[4]) != 0 ? 1 : 0;
  }
  return nodes > 0 ? fmt::format("{}", nodes) : "";
}

}  // namespace

MachineCounters machine_counters(const std::vector<int>& cpus, const fs::path& root) {
  MachineCounters counters;
  counters.wall = wall_seconds();
  counters.own = process_cpu_seconds();
  counters.pressure = pressure_seconds(root);
  add_stat(counters, cpus, root);
  return counters;
}

std::vector<MachineUse> use_between(const std::vector<std::vector<int>>& cpus,
                                    const std::vector<MachineCounters>& before,
                                    const std::vector<MachineCounters>& after) {
  std::vector<double> own;
  for (std::size_t rank = 0; rank < cpus.size(); ++rank) {
    own.push_back(after[rank].own - before[rank].own);
  }
  std::vector<MachineUse> uses;
  for (std::size_t rank = 0; rank < cpus.size(); ++rank) {
    const MachineCounters &a = before[rank], &b = after[rank];
    const double counted = b.counted - a.counted;
    uses.push_back({share(b.steal - a.steal, counted),
                    share(b.busy - a.busy - own_on_cpus(cpus, own, rank), counted),
                    share(b.pressure - a.pressure, b.wall - a.wall)});
  }
  return uses;
}

long involuntary_switches() {
  rusage usage{};
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

std::map<std::string, std::string> machine_settings(int cpu, const fs::path& root) {
  const fs::path cpus = root / "sys/devices/system/cpu";
  const fs::path mine = cpus / fmt::format("cpu{}", cpu);
  std::string turbo = on_off(cpus / "intel_pstate/no_turbo", '0');
  if (turbo.empty()) turbo = on_off(cpus / "cpufreq/boost", '1');
  utsname kernel{};
  const bool told = uname(&kernel) == 0;
  return {{"governor", read_line(mine / "cpufreq/scaling_governor")},
          {"turbo", turbo},
          {"smt", on_off(cpus / "smt/active", '1')},
          {"core_threads", read_line(mine / "topology/thread_siblings_list")},
          {"numa_nodes", numa_nodes(root)},
          {"kernel", told ? kernel.release : ""},
          {"glibc", gnu_get_libc_version()}};
}

}  // namespace gembench::inline moe_layer
