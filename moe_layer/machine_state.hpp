#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "moe_layer/mpi/rank_place.hpp"

/// Linux's information on a machine and on other work on it. `root` is the folder of /proc and
/// /sys. Missing values (many in containers and virtual machines) are NaN or empty, never an error.
namespace gembench::inline moe_layer {

/// Counters that only grow; two readings tell what happened between them.
struct MachineCounters {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double wall = kNone;      ///< s
  double own = kNone;       ///< s of CPU time of this process, all threads
  double busy = kNone;      ///< s in which the rank's CPUs worked, summed over them
  double steal = kNone;     ///< s in which the hypervisor gave them to others
  double counted = kNone;   ///< s that /proc/stat accounts for, idle ones included
  double pressure = kNone;  ///< s in which some task waited for a CPU (/proc/pressure/cpu, "some")
};
[[nodiscard]] MachineCounters machine_counters(const std::vector<int>& cpus,
                                               const std::filesystem::path& root = "/");

/// What happened between two readings. Shares of time; NaN = not known.
struct MachineUse {
  double steal = MachineCounters::kNone;     ///< of the rank's CPUs, taken by the hypervisor
  double other = MachineCounters::kNone;     ///< of the rank's CPUs, used by no rank of this run
  double pressure = MachineCounters::kNone;  ///< of the time, in which some task waited for a CPU
};
/// For the ranks of one node. `other` is known if ranks may use either the same CPUs or none in
/// common.
[[nodiscard]] std::vector<MachineUse> use_between(const std::vector<std::vector<int>>& cpus,
                                                  const std::vector<MachineCounters>& before,
                                                  const std::vector<MachineCounters>& after);

/// How often this thread lost its CPU to another since it began.
[[nodiscard]] long involuntary_switches();

/// Settings of the machine, by name; empty text = unknown: "governor", "turbo" ("on", "off"), "smt"
/// ("on", "off"), "core_threads" (hardware threads of the CPU's core, "0,32"), "numa_nodes"
/// (number), "kernel", "glibc".
[[nodiscard]] std::map<std::string, std::string> machine_settings(
    int cpu, const std::filesystem::path& root = "/");

}  // namespace gembench::inline moe_layer
