#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moe_layer/comm.hpp"

namespace gembench {

/// Which clock a run's times come from; see README.md.
enum class Clock { wall, cpu_time };
[[nodiscard]] std::string_view name_of(Clock clock);

[[nodiscard]] double wall_seconds();        ///< CLOCK_MONOTONIC
[[nodiscard]] double thread_cpu_seconds();  ///< CLOCK_THREAD_CPUTIME_ID
[[nodiscard]] inline double read(Clock clock) {
  return clock == Clock::wall ? wall_seconds() : thread_cpu_seconds();
}

/// Where this rank runs.
struct RankPlace {
  std::string host;
  std::vector<int> cpus;  ///< operating-system numbers this process may run on, ascending
  double cpu_quota = 0;   ///< CPUs the cgroup grants, 0 = no limit
};
[[nodiscard]] RankPlace place_of_this_rank();
/// "0-3,8": what people and Slurm write.
[[nodiscard]] std::string cpu_list(const std::vector<int>& cpus);

/// Can every one of these ranks of one node have a CPU of its own? A matching of ranks to allowed
/// CPUs, within the smallest quota.
[[nodiscard]] bool own_cpu_each(const std::vector<RankPlace>& ranks);

/// Whether the CPUs that launched_as() and this process's affinity promise are too few for the
/// node's ranks; known before MPI starts.
[[nodiscard]] bool ranks_share_cpus_before_mpi();

/// Collective: does every rank of every node have its own CPU?
[[nodiscard]] bool every_rank_has_own_cpu(const Comm& comm, const RankPlace& mine);

/// "hwloc 2.9": the interface this was built with.
[[nodiscard]] std::string hwloc_version();

}  // namespace gembench
