#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// What a dealing of one step and layer works on. Kept by the caller so that none allocates.
struct WaterFillScratch {
  std::vector<std::int64_t> load;        ///< [rank] tokens dealt so far
  std::vector<double> seconds;           ///< [rank] predicted for them (`per-expert` only)
  std::vector<std::int32_t> tokens;      ///< [replica of the layer] dealt to it
  std::vector<std::int32_t> was, fresh;  ///< [replica of an expert] before and after equalising
  std::vector<std::int32_t> low, high, middle;  ///< [host] room within a level of time
};

/// Deals tokens of replicated experts so that their ranks finish together, as far as the cost model
/// can tell. Ours. One expert at a time: the lowest level of time at which its ranks, with all they
/// have besides, can take its tokens; it is where the next token would go if tokens came one by
/// one, found by bisection on the ranks' curves. Measured curves that fall are taken at their
/// running maximum. Whole numbers and a fixed order of operations: the same everywhere.
class WaterFill {
 public:
  /// Keeps what it needs of the model.
  explicit WaterFill(const CostModel& cost);

  [[nodiscard]] int ranks() const { return ranks_; }
  /// All ranks without a token.
  void clear(WaterFillScratch& scratch) const;
  /// `tokens` more (or, below zero, fewer) of one expert on a rank that had `before` of it.
  void add(int rank, std::int32_t before, std::int32_t tokens, WaterFillScratch& scratch) const;
  /// Splits `tokens` of an expert over `hosts`, distinct ranks that have none of it now -> `counts`
  /// [host], which add up to them. Of hosts that
  /// would be done with the last token at the same time `first` gets it. With cost model
  /// `per-expert` one host gets all where that is as fast: every replica in use reads its weights.
  /// Does not add them.
  void level(std::int32_t tokens, std::span<const std::int32_t> hosts, std::size_t first,
             std::span<std::int32_t> counts, WaterFillScratch& scratch) const;
  /// Predicted seconds of a rank with what it has and `tokens` of one more expert.
  [[nodiscard]] double finish(int rank, std::int32_t tokens, const WaterFillScratch& scratch) const;

 private:
  [[nodiscard]] double at(int rank, std::int64_t load) const;
  [[nodiscard]] std::int32_t room(int rank, double level, std::int32_t most,
                                  const WaterFillScratch& scratch) const;

  int ranks_;
  bool experts_;
  std::int64_t slots_;
  std::vector<double> load_points_;
  std::vector<double> seconds_;  // [rank][load_point], nowhere falling
  std::vector<double> slope_;    // [rank][load_point] of the piece that begins there
};

}  // namespace gembench::inline cost
