#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline mpi {

/// The phases of a rank, in the order of a step.
enum class Phase : std::int32_t {
  prepare,  ///< everything before and between measuring: its length is not known
  profile,
  move,
  load,
  start_barrier,
  step,  ///< all layers of it, launched at once
  route,
  dispatch,
  experts,
  barrier,
  combine,
  gather,
  check,
  write,
};
/// "start barrier"
[[nodiscard]] const char* name_of(Phase phase);
/// Whether a rank may wait for others there.
[[nodiscard]] bool waits_in(Phase phase);

/// The progress of a rank. Ranks run the same program, so the smallest value belongs to the rank
/// furthest behind.
struct Whereabouts {
  std::int64_t stage = 0;  ///< counts what is not part of a layer
  std::int32_t layer = -1;
  Phase phase = Phase::prepare;
  std::int32_t step = -1;  ///< measured step, -1 = none

  friend auto operator<=>(const Whereabouts&, const Whereabouts&) = default;
};
/// "in the experts of layer 4, step 12"
[[nodiscard]] std::string describe(const Whereabouts& where);

/// The progress of one rank, written by that rank and read by others: a few plain stores per phase.
/// May be in memory shared between processes.
class Progress {
 public:
  /// Outside of layers.
  void enter(Phase phase) {
    layer_.store(-1, std::memory_order_relaxed);
    phase_.store(phase, std::memory_order_relaxed);
    stage_.store(stage_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void enter(Phase phase, int layer) {
    layer_.store(layer, std::memory_order_relaxed);
    phase_.store(phase, std::memory_order_relaxed);
  }
  void at_step(int step) { step_.store(step, std::memory_order_relaxed); }
  [[nodiscard]] Whereabouts now() const {
    return {stage_.load(std::memory_order_relaxed), layer_.load(std::memory_order_relaxed),
            phase_.load(std::memory_order_relaxed), step_.load(std::memory_order_relaxed)};
  }

  /// When the process last showed that it runs, wall_seconds() of its node.
  void be_alive(double seconds) { alive_.store(seconds, std::memory_order_relaxed); }
  [[nodiscard]] double alive() const { return alive_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> stage_{0};
  std::atomic<std::int32_t> layer_{-1};
  std::atomic<Phase> phase_{Phase::prepare};
  std::atomic<std::int32_t> step_{-1};
  std::atomic<double> alive_{0};
};

/// The Progress of every rank of this node, in shared memory: any rank can distinguish a rank that
/// is stopped or stuck in a call from those that wait for it, without MPI.
class ProgressBoard {
 public:
  /// Collective, as is the end.
  explicit ProgressBoard(const Comm& comm);

  [[nodiscard]] Progress& mine() { return rows()[own_].progress; }
  /// Ranks of this node, ascending.
  [[nodiscard]] const std::vector<int>& ranks() const { return ranks_; }
  [[nodiscard]] const Progress& of(std::size_t local_rank) const {
    return rows()[local_rank].progress;
  }
  /// True for the first caller on this node, which reports for the node.
  [[nodiscard]] bool claim() { return !rows()[0].claimed.exchange(true); }

 private:
  struct alignas(64) Row {  // a cache line: a rank's stores must not slow another's
    Progress progress;
    std::atomic<bool> claimed{false};
  };
  static_assert(sizeof(Row) == 64 && std::atomic<double>::is_always_lock_free);
  [[nodiscard]] Row* rows() const { return static_cast<Row*>(memory_.data()); }

  std::vector<int> ranks_;
  std::size_t own_ = 0;
  NodeMemory memory_;
};

}  // namespace gembench::inline mpi
