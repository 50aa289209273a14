#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/base/random.hpp"

namespace gembench::inline loads {

// Draws for generators of loads. Basic arithmetic and correctly rounded operations only (+ - * /,
// sqrt, floor, frexp): libm's other functions differ in the last bit between machines, std::
// distributions between libraries, and a trace must be the same everywhere.

/// Sum of twelve uniforms (Irwin-Hall), mean 0, variance 1. Tails end at 6, which is enough.
[[nodiscard]] double normal(Random& random);

/// exp(x), relative error below 1e-13 for |x| < 10 and 1e-10 for |x| < 40.
[[nodiscard]] double exponential(double x);

/// ln(x) for finite x > 0, absolute error below 1e-13.
[[nodiscard]] double logarithm(double x);

/// base to the power `exponent` >= 0.
[[nodiscard]] double power(double base, std::int64_t exponent);

/// Binomial(n, p): inversion while the rarer outcome is expected less than 12 times, else a rounded
/// normal of the same mean and variance (ours; the repair afterwards is coarser than the error).
[[nodiscard]] std::int32_t binomial(Random& random, std::int32_t n, double p);

/// Chance of a token to choose each expert when it chooses `topk` distinct ones: proportional to
/// `weight`, at most 1, sum = topk. Writes [expert] to `share`; uses `weight` up. At least `topk`
/// weights must be positive.
void spread_topk(std::span<double> weight, int topk, std::span<double> share);

/// Brings the sum of `counts` to `target` with 0 <= count <= limit. The difference is spread in
/// proportion to `weight` by systematic sampling (unbiased, no rejection); what clamping leaves
/// over is spread again over the rest, and at last one by one over whoever has room. Uses `weight`
/// up. `target` must lie between 0 and limit * counts.size().
void repair(std::span<std::int32_t> counts, std::span<double> weight, std::int64_t target,
            std::int32_t limit, Random& random);

/// The counts of a step of `tokens` tokens that choose `topk` experts each, in proportion to
/// `weight`: binomial around the shares of spread_topk, then repair. `share` is written, `weight`
/// used up.
void draw_counts(std::span<double> weight, std::span<double> share, int topk, std::int32_t tokens,
                 std::span<std::int32_t> counts, Random& random);

/// Deals `total` round and round, the first to counts[first % size]: everybody an equal part, up to
/// one. Writes `counts`.
void deal_evenly(std::span<std::int32_t> counts, std::int64_t total, std::int64_t first);

/// Which experts of a layer switch together.
struct Groups {
  std::vector<int> of;  ///< [expert] -> group, -1 = none
  int count = 0;
};
/// A share of the experts between `share_low` and `share_high`, chosen at random and dealt into
/// groups of `low` (at least 2) to `high`. Nobody is left alone in a group.
[[nodiscard]] Groups draw_groups(Random& random, int experts, double share_low, double share_high,
                                 int low, int high);

}  // namespace gembench::inline loads
