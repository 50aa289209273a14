#pragma once

#include <cstddef>
#include <vector>

namespace gembench::inline run {

/// The index of the CPU that a rank of a node takes in a round, if all its ranks may use the same
/// `cpus`: in as many rounds as there are ranks each rank has each place once, and so has any of
/// the others beside it; every such cycle deals the places anew, so that ranks that share a CPU
/// change.
[[nodiscard]] std::size_t cpu_in_round(std::size_t round, int rank, int ranks, std::size_t cpus);

/// Moves this thread from one CPU to the next, over those that it may run on. Ranks that are not
/// bound to a CPU each would otherwise stay where the system put them, often for seconds, and one
/// beside another program is slower for that alone.
class CpuTurns {
 public:
  /// `cpus`: system numbers. `rank` of `ranks`: on this node. All of a node must take turns in
  /// step. Does nothing with less than two CPUs, or where the system does not allow it.
  CpuTurns(std::vector<int> cpus, int rank, int ranks);
  CpuTurns(const CpuTurns&) = delete;
  CpuTurns& operator=(const CpuTurns&) = delete;
  ~CpuTurns();  ///< the thread may run on all of them again
  void next();

 private:
  std::vector<int> cpus_;
  int rank_, ranks_;
  std::size_t round_ = 0;
};

}  // namespace gembench::inline run
