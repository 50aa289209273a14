#pragma once

#include <vector>

#include "harness/statistics/interval.hpp"

namespace gembench::inline statistics {

/// First of `steps` steps that belongs to a block, where these are cut into `blocks` successive
/// blocks, 0 .. blocks, as equal as they can be.
[[nodiscard]] int block_begin(int steps, int blocks, int block);

/// The change over blocks, from their log ratios in order of time. Its interval is the wider one of
/// blocks and of the means of `batches` successive groups of them (batch means; Law, "Simulation
/// Modeling and Analysis", 9.5.3), which show what changes slowly. `together` as `comparisons` of
/// typical_difference. At least kLeastBlocks ratios and 2 batches.
[[nodiscard]] Difference block_change(const std::vector<double>& ratios, int batches, int together);

/// Widens an interval by what a quantity's errors do to it, as if both were independent and normal:
/// `by_error`, the log ratio under each of several errors. Fewer than two change nothing.
void widen(const std::vector<double>& by_error, int together, Difference& change);

}  // namespace gembench::inline statistics
