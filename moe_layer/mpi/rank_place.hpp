#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline mpi {

/// The CPU quota of a control group.
struct CpuQuota {
  std::string group;  ///< its path in the hierarchy
  double cpus = 0;    ///< CPUs' worth of time
};

/// Where this rank runs.
struct RankPlace {
  std::string host;
  std::vector<int> cpus;  ///< operating-system numbers this process may run on, ascending
  /// [cpu] the physical core, as the lowest CPU number among its hardware threads; empty: not
  /// known, every CPU counts as a core.
  std::vector<int> cores = {};
  std::vector<CpuQuota> quotas = {};  ///< of its control group and those above, where limited
};
[[nodiscard]] RankPlace place_of_this_rank();
/// "0-3,8": what people and Slurm write.
[[nodiscard]] std::string cpu_list(const std::vector<int>& cpus);
/// Limits on this process, of cgroup v2 and v1. `root` is where /proc and /sys are.
[[nodiscard]] std::vector<CpuQuota> cpu_quotas(const std::filesystem::path& root = "/");

/// What ranks of a node have to share, from best to worst.
enum class Sharing {
  nothing,  ///< every rank can have a physical core of its own
  cores,    ///< only hardware threads of their own
  cpus,     ///< fewer CPUs than ranks
  quota,    ///< a control group grants less than a CPU a rank
};
/// "nothing", "cores", "CPUs", "a CPU quota"
[[nodiscard]] std::string_view name_of(Sharing sharing);

/// For these ranks of one node: by matching ranks to allowed cores and CPUs, and comparing the
/// quotas of groups with their ranks.
[[nodiscard]] Sharing sharing_of(const std::vector<RankPlace>& ranks);

/// Collective: the worst of all nodes.
[[nodiscard]] Sharing sharing_of_all(const Comm& comm, const RankPlace& mine);

/// Whether the CPUs that launched_as() and this process's affinity promise are too few for the
/// node's ranks; known before MPI starts.
[[nodiscard]] bool ranks_share_cpus_before_mpi();

/// "hwloc 2.9": the interface this was built with.
[[nodiscard]] std::string hwloc_version();

}  // namespace gembench::inline mpi
