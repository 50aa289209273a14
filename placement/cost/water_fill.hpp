#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/cost/rank_curves.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// Working memory for one step and layer. Kept by the caller so that nothing is allocated.
struct WaterFillScratch {
  std::vector<std::int64_t> load;        ///< [rank] tokens assigned so far
  std::vector<double> seconds;           ///< [rank] predicted for them (`per-expert` only)
  std::vector<std::int32_t> tokens;      ///< [replica of the layer] tokens assigned to it
  std::vector<std::int32_t> was, fresh;  ///< [replica of an expert] before and after equalising
  std::vector<std::int32_t> low, high, middle;  ///< [host] room within a level of time
};

/// Splits tokens of replicated experts so that their ranks finish together according to the cost
/// model. Ours. For one expert at a time it finds the lowest finish time at which its ranks, with
/// their other tokens, can take its tokens; this is what assigning tokens one by one would give,
/// found by bisection on the ranks' curves. Falling curves are replaced by their running maximum.
/// Whole numbers and a fixed order of operations give the same result everywhere.
class WaterFill {
 public:
  /// Keeps what it needs of the model.
  explicit WaterFill(const CostModel& cost);

  [[nodiscard]] int ranks() const { return curves_.ranks(); }
  /// Resets all ranks to no tokens.
  void clear(WaterFillScratch& scratch) const;
  /// Adds `tokens` (below zero: removes) of one expert on a rank that had `before` of it.
  void add(int rank, std::int32_t before, std::int32_t tokens, WaterFillScratch& scratch) const;
  /// Splits `tokens` of an expert over `hosts`, distinct ranks that have none of it now -> `counts`
  /// [host], which add up to them. If several hosts would finish the last token at the same time,
  /// `first` gets it. With cost model `per-expert` one host gets all tokens if that is as fast,
  /// since every replica in use reads its weights. Does not add the tokens.
  void level(std::int32_t tokens, std::span<const std::int32_t> hosts, std::size_t first,
             std::span<std::int32_t> counts, WaterFillScratch& scratch) const;
  /// Predicted seconds of a rank with its current tokens and `tokens` of one more expert.
  [[nodiscard]] double finish(int rank, std::int32_t tokens, const WaterFillScratch& scratch) const;

 private:
  [[nodiscard]] std::int32_t room(int rank, double level, std::int32_t most,
                                  const WaterFillScratch& scratch) const;

  RankCurves curves_;
  bool experts_;
  std::int64_t slots_;
};

}  // namespace gembench::inline cost
