#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "placement/base/random.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/pair_view.hpp"
#include "placement/search/search_kernels.hpp"
#include "placement/search/swap_state.hpp"

namespace gembench::inline search {

/// A swap of slot i of rank a with slot j of rank b, and the seconds that it saves.
struct Swap {
  std::size_t a = 0, i = 0, b = 0, j = 0;
  double gain = 0;
};

/// Most swaps per expert in one descent. Hundreds of times the number in descents from random
/// placements.
inline constexpr std::size_t kMostSwaps = 1000;

/// Least gain of a swap, relative to the objective: more than rounding could pretend.
inline constexpr double kLeastGain = 1e-10;

/// Local search by swaps over one layer; Units is the type of what an expert adds to a load in a
/// step.
///
/// Why it is fast (ours, except the three slowest ranks per step, which are well known): a swap
/// between ranks a and b can gain only in steps in which one of them is the slowest rank, about
/// 2/ranks of the steps. These are evaluated first, exactly, using the three slowest ranks to find
/// the slowest of the others. Only for a swap that gains there are the other steps evaluated: it
/// loses in a step only if a or b grows beyond its room, that is, becomes the slowest itself, which
/// is one comparison of whole numbers per step (search_kernels.hpp). Curves may fall: nothing
/// assumes that more load takes longer.
///
/// It always ends: a swap is kept only if the objective, recomputed from the loads, is lower by
/// more than rounding errors; else it is undone and its pair of ranks counts as checked. In any
/// case a descent ends after kMostSwaps swaps per expert.
template <class Units>
class SwapSearch {
 public:
  /// `most_swaps`: swaps per expert after which a descent ends. `least_gain`: by which a swap must
  /// lower the objective, relative to that of the start; above kLeastGain a descent does not look
  /// again at pairs whose own ranks have not changed.
  SwapSearch(const LayerProblem& problem, const Assignment& start, Isa isa,
             std::size_t most_swaps = kMostSwaps, double least_gain = kLeastGain);
  SwapSearch(const SwapSearch&) = delete;  // the view points into the state
  SwapSearch& operator=(const SwapSearch&) = delete;

  /// Until no swap of two experts lowers the objective.
  void descend();
  /// A few random swaps, improved; undone unless the result is better.
  void try_perturbation(Random& random);
  /// The swap that saves most; nothing if none saves anything. `into_spare`: only swaps that move
  /// one expert into a spare slot.
  [[nodiscard]] std::optional<Swap> steepest(bool into_spare = false);
  /// Makes a swap if it lowers the recomputed objective, and returns the seconds saved; otherwise
  /// returns nothing and changes nothing.
  std::optional<double> take(const Swap& swap);
  /// Makes a swap regardless of its gain, unless it would put replicas of one expert on one rank.
  void make(const Swap& swap);
  /// Whether a swap keeps replicas of one expert on different ranks.
  [[nodiscard]] bool allowed(std::size_t a, std::size_t i, std::size_t b, std::size_t j);
  [[nodiscard]] std::uint32_t expert(std::size_t rank, std::size_t slot) const {
    return state_.member(rank, slot);
  }
  [[nodiscard]] double value() const { return state_.value(); }
  [[nodiscard]] Assignment assignment() const { return state_.assignment(); }

  // For tests and benches.
  /// [slot of a][slot of b] exact seconds saved by each swap, also if negative.
  [[nodiscard]] std::vector<double> gains(std::size_t a, std::size_t b);
  /// Evaluates every swap once more and makes those that help; returns how many were evaluated.
  std::size_t look_again();
  /// What has been done since the search began.
  struct Work {
    std::size_t looks = 0;   ///< at the worth of a swap
    std::size_t taken = 0;   ///< swaps that lowered the objective
    std::size_t undone = 0;  ///< swaps that seemed to lower it and did not
  };
  [[nodiscard]] const Work& work() const { return work_; }
  /// The least by which a swap must lower the objective, seconds.
  [[nodiscard]] double enough() const { return enough_; }
  /// Called after every swap that stays, also those of perturbations; `saved` 0: a perturbation's.
  std::function<void(const Swap& swap, double saved)> on_swap;

 private:
  struct Pair {
    double potential;
    std::size_t a, b;
  };
  [[nodiscard]] std::vector<Pair> promising_pairs(bool everyone) const;
  [[nodiscard]] std::optional<Swap> best_of(std::size_t a, std::size_t b, double least,
                                            bool into_spare);
  bool round(bool everyone);
  bool visit(std::size_t a, std::size_t b);
  void find_held(std::size_t a, std::size_t b);
  void exchange(const Swap& swap);
  void tick(const Swap& swap);

  const LayerProblem* p_;
  SwapState<Units> state_;
  double least_gain_;  // share of the start's objective that a swap must gain
  double enough_;      // the same in seconds
  PairView<Units> view_;
  Work work_;
  std::size_t most_swaps_;      // of a descent
  std::size_t swaps_left_ = 0;  // of this descent
  // [slot] of a pair's first and second rank: the other one holds a replica, so it must stay.
  std::vector<char> held_[2];
  // A counter of swaps, to find pairs that need to be checked again.
  std::uint64_t clock_ = 1;
  std::vector<std::uint64_t> changed_at_;  // [rank]
  std::vector<std::uint64_t> quiet_at_;    // [rank][rank] when nothing was found
};

}  // namespace gembench::inline search
