#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace gembench::inline statistics {

/// How often some rank is called slow though none is slower by more than half of the limit, all
/// ranks together.
inline constexpr double kFalseAccusation = 0.01;
/// Blocks of rounds that are compared: long ones, so that neighbours are nearly independent. Ours.
inline constexpr std::size_t kMostSlownessBlocks = 48;
/// Earlier values that one needs to be compared with them. Ours.
inline constexpr std::size_t kLeastPast = 5;

/// What slowness is asked about.
struct SlownessQuestion {
  double limit = 0.05;  ///< share: 0.05 = takes 5 % longer
  std::size_t answers =
      1;  ///< that share the probability of a false accusation, as many as are asked in all
};

/// How much longer one rank takes than it should. Shares: 0.05 = 5 % longer.
struct Slowness {
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  double slower = kUnknown;                ///< NaN: nothing to compare with
  double low = kUnknown, high = kUnknown;  ///< 95 % interval; NaN: too few values for one
  double certain = kUnknown;  ///< lower bound that holds in all answers together, with 99 %
  /// The least that is called slow in 9 of 10 such measurements, by this one's noise: no less than
  /// the limit; infinite: nothing is.
  double resolution = std::numeric_limits<double>::infinity();
  /// `certain` is above half of the limit and `high` reaches the limit; against other ranks the
  /// estimate is above half of it in each third of the rounds, too. So a rank of exactly the limit
  /// is found although its estimate is below the limit in half of all cases.
  bool slow = false;
};

/// [rank] against the median of the other ranks in the same round, so that what all ranks share
/// cancels. `seconds`: [rank][round]; a round without a reading above 0 from every rank is left
/// out. Unknown for a single rank. Usage error for ranks with different numbers of rounds.
///
/// Rounds are pooled into up to kMostSlownessBlocks blocks of successive ones. The estimate is the
/// median over blocks of the median log ratio in a block. Its bounds are order statistics of the
/// blocks: the sign test's, for any distribution of noise, different on every rank, and any
/// dependence between ranks (Bonferroni). Assumed is that blocks are independent, or alike as
/// alike() estimates it (the order statistics are then those of so many fewer blocks), and that a
/// rank of the others' speed has a log ratio with median 0. So a rank that something slows down
/// during most of the measurement is slow, whatever the reason.
[[nodiscard]] std::vector<Slowness> slower_than_others(
    const std::vector<std::vector<double>>& seconds, const SlownessQuestion& question);

/// A value of now against at least kLeastPast earlier ones of the same kind, all above 0: by
/// Student's t of one more value. Assumed are independent and normal logarithms. Unknown with fewer
/// earlier ones.
[[nodiscard]] Slowness slower_than_past(std::span<const double> past, double now,
                                        const SlownessQuestion& question);

}  // namespace gembench::inline statistics
