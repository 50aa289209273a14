#pragma once

#include <cstdint>

#include "placement/strategies/gem.hpp"

namespace gembench::inline strategies {

inline constexpr std::uint64_t kGemPlusSalt = 0x6e3b1;

/// Several starts, each improved and kicked; the best result. All of it ours.
[[nodiscard]] Assignment search_from_starts(const LayerProblem& problem, Random random,
                                            const SearchOptions& options);

/// One layer of gem+: the same, and exactly up to 8 experts.
[[nodiscard]] Assignment plan_layer_plus(const LayerProblem& problem, const Random& random,
                                         const SearchOptions& options);

[[nodiscard]] Placement plan_gem_plus(const PlanInput& input, const SearchOptions& options);

/// gem+ on a blend: (1 - share) of the time summed over the steps plus share of the time the mean
/// step takes, as often as there are steps. The mean step's counts are rounded. 0 is gem+ itself.
[[nodiscard]] Placement plan_blended(const PlanInput& input, double share,
                                     const SearchOptions& options);

/// The share of the mean with which plans, without kicks, made on one half of the steps take least
/// on the other, both ways, summed over all layers; 0 unless that gains more than one standard
/// error over blocks of steps (the one-standard-error rule). 0 for fewer than 4 steps. Ours.
[[nodiscard]] double cross_validated_share(const PlanInput& input, const SearchOptions& options);

/// gem+ on the blend that cross_validated_share chooses.
[[nodiscard]] Placement plan_gem_plus_cv(const PlanInput& input, const SearchOptions& options);

}  // namespace gembench::inline strategies
