#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <vector>

#include "placement/loads/trace.hpp"
#include "placement/search/search_costs.hpp"

namespace gembench::inline search {

/// [expert] -> rank, for one layer.
using Assignment = std::vector<std::int32_t>;

/// The placement problem of one layer: minimise the sum over steps of the slowest rank's predicted
/// seconds, with the same number of experts on every rank. Owns the layer's loads by expert. A
/// spare slot is an expert that never gets a token, so moving an expert into it is a swap.
struct LayerProblem {
  /// `slots_per_rank`: 0 = experts/ranks.
  LayerProblem(const Trace& trace, int layer, const SearchCosts& search_costs,
               int slots_per_rank = 0);

  const SearchCosts& costs;
  std::size_t steps;
  std::size_t stride;   ///< steps rounded up to whole words of 64; no tokens behind the last step
  std::size_t experts;  ///< spare slots included, behind the real ones
  std::size_t real;     ///< experts of the trace
  std::size_t ranks;
  std::size_t slots;                  ///< experts per rank
  std::vector<std::int16_t> narrow;   ///< [expert][stride] tokens, if costs.narrow()
  std::vector<std::int32_t> wide;     ///< the same otherwise
  std::vector<std::int64_t> totals;   ///< [expert] over all steps
  std::vector<std::size_t> by_total;  ///< experts by falling total
  /// [real] the expert that it is a replica of; two replicas of one expert must not share a rank.
  /// Empty: no replicas.
  std::vector<std::int32_t> replica_of;
  /// Called now and then by searches on the problem, if set; may throw to end them.
  std::function<void()> pulse;

  template <class Units>
  [[nodiscard]] const Units* tokens_of(std::size_t expert) const {
    if constexpr (std::is_same_v<Units, std::int16_t>)
      return narrow.data() + expert * stride;
    else
      return wide.data() + expert * stride;
  }
  [[nodiscard]] std::int32_t tokens(std::size_t expert, std::size_t step) const {
    const auto at = expert * stride + step;
    return costs.narrow() ? narrow[at] : wide[at];
  }
};

/// The same problem for every n-th step only, with the totals of all: a search there takes an n-th
/// of the time.
[[nodiscard]] LayerProblem every_nth_step(const LayerProblem& problem, std::size_t n);

/// The objective of an assignment in seconds, computed from scratch.
[[nodiscard]] double evaluate(const LayerProblem& problem, const Assignment& assignment);

/// Whether the rank of an assignment holds another replica of the same expert as `expert`.
[[nodiscard]] bool holds_replica(const LayerProblem& problem, const Assignment& assignment,
                                 std::size_t expert, std::int32_t rank);
/// Separates replicas that share a rank by the first possible swap. False if there is none.
bool separate_replicas(const LayerProblem& problem, Assignment& assignment);

}  // namespace gembench::inline search
