#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "placement/gem_search.hpp"

namespace gembench {

/// Units a rank with `load` can grow by without exceeding `within`, as far as Units can say.
template <class Units>
[[nodiscard]] inline Units room_units(std::int32_t within, std::int32_t load) {
  const auto room = std::int64_t{within} - load;
  return static_cast<Units>(std::clamp<std::int64_t>(room, std::numeric_limits<Units>::min(),
                                                     std::numeric_limits<Units>::max()));
}

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
  [[nodiscard]] bool can_kick() const { return p_->ranks > 1; }
  /// A few random swaps, improved; undone unless the result is better.
  void try_kick(Random& random);
  [[nodiscard]] double value() const;
  [[nodiscard]] Assignment assignment() const;

  /// Seconds saved by exchanging slot i of rank a with slot j of rank b; for tests and benches.
  [[nodiscard]] double gain_of(std::size_t a, std::size_t i, std::size_t b, std::size_t j);

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Slowest {
    std::array<double, 3> seconds{};
    std::array<std::uint32_t, 3> rank{kNone, kNone, kNone};
  };
  /// Everything that changes with a swap, so that it can be set aside and taken back.
  struct State {
    std::vector<std::uint32_t> member;    // [rank][slot] expert
    std::vector<std::int32_t> load;       // [rank][stride] units
    std::vector<Units> room;              // [rank][stride] until it is the slowest
    std::vector<double> cost;             // [step][rank] seconds
    std::vector<Slowest> slowest;         // [step]
    std::vector<std::uint32_t> begin;     // [rank + 1] where its critical steps begin
    std::vector<std::uint32_t> critical;  // steps by slowest rank
    std::vector<Units> own;               // [rank][slot][stride] units, if they depend on the rank
  };
  /// The critical steps of a pair of ranks, one beside the other.
  struct View {
    std::size_t a = 0;
    std::size_t b = 0;
    std::vector<std::uint32_t> step;
    std::size_t count = 0;                    // of them, rounded up to whole vectors
    std::vector<double> others, now, weight;  // slowest of all others; of all
    std::vector<double> load_a, load_b;
    std::vector<double> a_kept, b_with;  // loads without and with the expert looked at
    std::vector<double> rest;            // [block] most that this and later blocks can gain
    std::vector<double> units[4];        // [slot][count]: a's on a, a's on b, b's on b, b's on a
    std::vector<std::uint64_t> mask;     // critical steps as bits
    std::span<const RankCost::Line> cost_a, cost_b;
  };

  void build(const Assignment& start);
  void rank_step(std::size_t t);
  void list_critical();
  void make_room(std::size_t t, const std::int32_t* within, std::size_t r);
  bool round(bool everyone);
  bool visit(std::size_t a, std::size_t b);
  void view_pair(std::size_t a, std::size_t b);
  void take_out(std::size_t i);
  double gain_in_critical(std::size_t j, double enough) const;
  double remaining_loss(std::size_t i, std::size_t j, double most);
  void swap(std::size_t a, std::size_t i, std::size_t b, std::size_t j);
  const Units* own(std::size_t r, std::size_t s) const;
  const Units* foreign(std::size_t side, std::size_t s, std::size_t rank);
  void fill_units(std::size_t r, std::size_t expert, Units* row) const;

  const LayerProblem* p_;
  StepMask<Units> mask_of_;
  CriticalGain gain_in_;
  double enough_ = 0;  // seconds a swap must gain: more than rounding could pretend
  State s_;
  View view_;
  std::vector<char> dirty_;  // [rank] changed since the last quiet round
  std::vector<std::uint64_t> mask_;
  std::vector<std::uint32_t> changed_;  // steps whose slowest changed in a swap
  std::vector<Units> foreign_;          // [2][slot][stride] units on the pair's other rank
  std::vector<char> foreign_known_;     // [2][slot]
};

}  // namespace gembench
