#pragma once

#include <vector>

namespace gembench::inline run {

/// Moves this thread from one CPU to the next, over those that it may run on. Ranks that are not
/// bound to a CPU each would otherwise stay where the system put them, often for seconds, and one
/// beside another program is slower for that alone.
class CpuTurns {
 public:
  /// `cpus`: system numbers. `first`: the index to begin with, around them; different for the ranks
  /// of a node, so that ranks with the same CPUs are on different ones. Does nothing with less than
  /// two, or where the system does not allow it.
  CpuTurns(std::vector<int> cpus, int first);
  CpuTurns(const CpuTurns&) = delete;
  CpuTurns& operator=(const CpuTurns&) = delete;
  ~CpuTurns();  ///< the thread may run on all of them again
  void next();

 private:
  std::vector<int> cpus_;
  std::size_t at_;
};

}  // namespace gembench::inline run
