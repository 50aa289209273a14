#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "placement/swap_state.hpp"

namespace gembench {

/// Local search by swaps over one layer; Units is what an expert adds to a load in a step.
///
/// What makes it fast (ours, except the three slowest ranks per step, which are folklore): a swap
/// between ranks a and b can gain only in steps in which one of them is the slowest of all, about
/// 2/ranks of the steps. Those are looked at first, exactly, with the slowest of the other ranks
/// taken from the three slowest. Only for a swap that gains there are the other steps looked at: it
/// loses in one only if a or b outgrows the room it has until it becomes the slowest itself, which
/// is one comparison of whole numbers a step (search_kernels.hpp), whatever the curves look like.
template <class Units>
class SwapSearch {
 public:
  SwapSearch(const LayerProblem& problem, const Assignment& start, Isa isa);

  /// Until no swap of two experts lowers the objective.
  void descend();
  /// A few random swaps, improved; undone unless the result is better.
  void try_kick(Random& random);
  [[nodiscard]] double value() const { return state_.value(); }
  [[nodiscard]] Assignment assignment() const { return state_.assignment(); }

  // For tests and benches.
  /// [slot of a][slot of b] seconds saved by exchanging the two, exactly, whatever they are.
  [[nodiscard]] std::vector<double> gains(std::size_t a, std::size_t b);
  /// Looks at every swap once more and makes those that help; returns how many were looked at.
  std::size_t look_again();

 private:
  /// The critical steps of a pair of ranks, one beside the other.
  struct View {
    std::size_t a = 0;
    std::size_t b = 0;
    std::vector<std::uint32_t> step;
    std::size_t count = 0;                    // of them, rounded up to whole vectors
    std::vector<double> others, now, weight;  // slowest of all others; of all
    std::vector<double> load_a, load_b;
    std::vector<double> a_kept, b_with;  // loads without and with the expert looked at
    double most_units = 0;               // any expert of the pair adds in any of the steps
    std::vector<double> rest;            // [block] most that this and later blocks can gain
    std::vector<double> units[4];        // [slot][count]: a's on a, a's on b, b's on b, b's on a
    std::vector<std::uint64_t> mask;     // critical steps as bits
    std::span<const RankCost::Line> cost_a, cost_b;
  };

  bool round(bool everyone);
  bool visit(std::size_t a, std::size_t b);
  void view_pair(std::size_t a, std::size_t b);
  void view_units();
  void take_out(std::size_t i);
  double gain_in_critical(std::size_t j, double enough) const;
  double remaining_loss(std::size_t i, std::size_t j, double most);
  const Units* foreign(std::size_t side, std::size_t s);
  void swap(std::size_t a, std::size_t i, std::size_t b, std::size_t j);

  const LayerProblem* p_;
  StepMask<Units> mask_of_;
  CriticalGain gain_in_;
  SwapState<Units> state_;
  double enough_;  // seconds a swap must gain: more than rounding could pretend
  View view_;
  std::size_t looked_at_ = 0;  // swaps
  std::vector<std::uint64_t> mask_;
  std::vector<Units> foreign_;       // [2][slot][stride] units on the pair's other rank
  std::vector<char> foreign_known_;  // [2][slot]
  // A clock that ticks with every swap says which pairs need another look.
  std::uint64_t clock_ = 1;
  std::vector<std::uint64_t> changed_at_;  // [rank]
  std::vector<std::uint64_t> quiet_at_;    // [rank][rank] when nothing was found
};

}  // namespace gembench
