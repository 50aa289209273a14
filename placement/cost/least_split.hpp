#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/cost/rank_curves.hpp"

namespace gembench::inline cost {

/// The ranks that hold the replicated experts of a layer, both ways.
struct ReplicaEdges {
  std::vector<std::int32_t> first;   ///< [replicated expert + 1] into `rank`
  std::vector<std::int32_t> rank;    ///< [replica]
  std::vector<std::int32_t> expert;  ///< [replica] index of the replicated expert
  std::vector<std::int32_t> from;    ///< [rank + 1] into `held`
  std::vector<std::int32_t> held;    ///< replicas on a rank

  /// `first` and `rank` as above; works out the rest.
  ReplicaEdges(std::vector<std::int32_t> first, std::vector<std::int32_t> rank, int ranks);
};

/// Working memory for one step and layer. Kept by the caller so that nothing is allocated.
struct LeastSplitScratch {
  std::vector<std::int64_t> room;    ///< [rank] tokens that it still takes
  std::vector<std::int32_t> left;    ///< [replicated expert] tokens without a rank
  std::vector<std::int32_t> by;      ///< [rank] replica by which the search came, -1 = not yet
  std::vector<std::int32_t> origin;  ///< [replicated expert] its replica that gives way; -1: it has
                                     ///< tokens without a rank; -2: the search did not come there
  std::vector<std::int32_t> queue;   ///< replicated experts to search from
  std::vector<std::int32_t> some;    ///< ranks
};

/// Splits the tokens of replicated experts so that the slowest rank takes the least time that any
/// split can reach: exactly the optimum of the linear program that LPLB
/// (https://github.com/deepseek-ai/LPLB) solves, in whole tokens, with any curve for every rank.
/// Without a solver: tokens are a flow from experts to ranks, a rank takes what it finishes in a
/// time T, and T rises from a lower bound to the next one that the minimum cut proves, until all
/// tokens flow. Begins with an even split, so tokens that need not move stay. `tokens` [replicated
/// expert]; `load` [rank]: of other experts, then of all; `counts` [replica] -> tokens. Returns T.
/// With cost model `per-expert` exact only as far as RankCurves are.
double least_split(const RankCurves& curves, const ReplicaEdges& edges,
                   std::span<const std::int32_t> tokens, std::span<std::int64_t> load,
                   std::span<std::int32_t> counts, LeastSplitScratch& scratch);

}  // namespace gembench::inline cost
