#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "placement/search/layer_problem.hpp"
#include "placement/search/search_kernels.hpp"

/// Assignments that a search can begin from.
namespace gembench::inline search {

/// Places experts in the given order, filling one rank after the other.
[[nodiscard]] Assignment blocks(const std::vector<std::int32_t>& order, std::size_t slots);

/// Longest-processing-time first on the mean load, ranks weighted by their mean slope.
[[nodiscard]] Assignment speed_weighted_lpt(const LayerProblem& problem);
/// By falling mean load, each expert to where the objective grows least.
[[nodiscard]] Assignment greedy(const LayerProblem& problem, Isa isa);

}  // namespace gembench::inline search
