#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "placement/search/layer_problem.hpp"

namespace gembench::inline search {

inline constexpr std::uint32_t kNoRank = ~std::uint32_t{0};

/// The slowest ranks of a step, slowest first; kNoRank where there are fewer or they take no time.
/// Three are needed, because two of them may be in a swap. More are kept, so that a rank that
/// becomes faster rarely makes it necessary to look at all ranks (how many: ours, measured).
struct Slowest {
  static constexpr std::size_t kNeeded = 3;
  static constexpr std::size_t kKept = 6;
  Slowest() { rank.fill(kNoRank); }
  std::array<double, kKept> seconds{};
  std::array<std::uint32_t, kKept> rank;
  std::size_t known = kKept;  ///< the first of them hold; no other rank is slower than the last one
};

/// An assignment with all derived values, updated by every swap. A plain value: a copy can restore
/// it. Units is the type of what an expert adds to a load in a step.
template <class Units>
class SwapState {
 public:
  SwapState(const LayerProblem& problem, const Assignment& start);

  /// Exchanges slot i of rank a with slot j of rank b. a_in, b_in: [step] units the experts that
  /// come add there; only looked at where these depend on the rank.
  void swap(std::size_t a, std::size_t i, std::size_t b, std::size_t j, const Units* a_in,
            const Units* b_in);

  [[nodiscard]] double value() const;  ///< the objective, seconds
  [[nodiscard]] Assignment assignment() const;
  [[nodiscard]] std::uint32_t member(std::size_t rank, std::size_t slot) const {
    return member_[rank * p_->slots + slot];
  }
  /// [step] units an expert adds to its own rank.
  [[nodiscard]] const Units* units(std::size_t rank, std::size_t slot) const {
    const auto at = rank * p_->slots + slot;
    return p_->costs.by_rank() ? own_.data() + at * p_->stride
                               : p_->template tokens_of<Units>(member_[at]);
  }
  /// [slot] units the experts of a rank add to it in a step: the same numbers side by side.
  [[nodiscard]] const Units* units_at(std::size_t step, std::size_t rank) const {
    return by_step_.data() + step * p_->experts + rank * p_->slots;
  }
  [[nodiscard]] const std::int32_t* load(std::size_t rank) const {
    return load_.data() + rank * p_->stride;
  }
  /// [step] units that a rank can grow by without becoming the slowest; may be slightly too small.
  /// Until the next swap.
  [[nodiscard]] const Units* room(std::size_t rank);
  [[nodiscard]] const Slowest& slowest(std::size_t step) const { return slowest_[step]; }
  /// Steps in which the rank is the slowest.
  [[nodiscard]] std::span<const std::uint32_t> critical(std::size_t rank) const {
    return std::span(critical_).subspan(begin_[rank], begin_[rank + 1] - begin_[rank]);
  }

 private:
  void rank_step(std::size_t t);
  void update_step(std::size_t t, std::size_t a, std::size_t b);
  void list_critical();
  void make_room(std::size_t t, std::size_t r);

  const LayerProblem* p_;
  std::vector<std::uint32_t> member_;    // [rank][slot] expert
  std::vector<std::int32_t> load_;       // [rank][stride] units
  std::vector<Units> room_;              // [rank][stride], as of room_at_
  std::vector<std::size_t> room_at_;     // [rank] of fallen_, up to where its room is known
  std::vector<std::uint32_t> fallen_;    // steps whose slowest rank became faster, in that order
  std::vector<double> cost_;             // [step][rank] seconds
  std::vector<Slowest> slowest_;         // [step]
  std::vector<std::uint32_t> level_;     // [step] of the slowest rank's seconds
  std::vector<std::uint32_t> begin_;     // [rank + 1] where its critical steps begin
  std::vector<std::uint32_t> critical_;  // steps by slowest rank
  std::vector<Units> by_step_;           // [step][rank][slot] units
  std::vector<Units> own_;               // [rank][slot][stride] units, if they depend on the rank
};

/// Units of an expert on a rank, [step] of them.
template <class Units>
void fill_units(const LayerProblem& problem, std::size_t rank, std::size_t expert, Units* row) {
  const auto* tokens = problem.template tokens_of<Units>(expert);
  for (std::size_t t = 0; t < problem.steps; ++t)
    row[t] = static_cast<Units>(problem.costs.units(rank, tokens[t]));
}

}  // namespace gembench::inline search
