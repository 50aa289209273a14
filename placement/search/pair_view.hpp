#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "placement/search/layer_problem.hpp"
#include "placement/search/search_kernels.hpp"
#include "placement/search/swap_state.hpp"

namespace gembench::inline search {

/// A view of two ranks a and b against the rest: the gain of swapping an expert of each. A swap can
/// gain only in the critical steps, in which a or b is the slowest rank; they are contiguous here.
template <class Units>
class PairView {
 public:
  /// `state`: only its room is brought up to date here.
  PairView(const LayerProblem& problem, SwapState<Units>& state, Isa isa);

  /// Loads a pair in its current state; false if it cannot gain more than `enough` seconds.
  bool look(std::size_t a, std::size_t b, double enough);
  /// Loads a pair without finding its critical steps, for a swap that is made in any case.
  void choose(std::size_t a, std::size_t b);

  /// Prepares the view for swaps of slot i of rank a.
  void take_out(std::size_t i);
  /// Total seconds saved in the critical steps by swapping the chosen expert with slot j of rank b;
  /// nothing if not above `enough`.
  [[nodiscard]] std::optional<double> gain_in_critical(std::size_t j, double enough) const;
  /// Total seconds lost in the other steps; nothing if not below `most`.
  [[nodiscard]] std::optional<double> remaining_loss(std::size_t i, std::size_t j, double most);
  /// [step] units slot s of a (side 0) or b (side 1) adds on the other rank.
  [[nodiscard]] const Units* foreign(std::size_t side, std::size_t s);

 private:
  double find_critical();
  void find_units();

  const LayerProblem* p_;
  SwapState<Units>* state_;
  StepMask<Units> mask_of_;
  CriticalGain gain_in_;
  std::size_t a_ = 0;
  std::size_t b_ = 0;
  std::vector<std::uint32_t> step_;            // critical ones
  std::size_t count_ = 0;                      // of them, rounded up to whole vectors
  std::vector<double> others_, now_, weight_;  // slowest of all others; of all
  std::vector<double> load_a_, load_b_;
  std::vector<double> a_kept_, b_with_;  // loads without and with the expert taken out
  double most_units_ = 0;                // any expert of the pair adds in any of the steps
  std::vector<double> rest_;             // [block] most that this and later blocks can gain
  std::vector<double> units_[4];         // [slot][count]: a's on a, a's on b, b's on b, b's on a
  std::span<const RankCost::Line> cost_a_, cost_b_;
  std::vector<std::uint64_t> critical_mask_;  // critical steps as bits
  std::vector<std::uint64_t> mask_;
  std::vector<Units> foreign_;       // [2][slot][stride], if units depend on the rank
  std::vector<char> foreign_known_;  // [2][slot]
};

}  // namespace gembench::inline search
