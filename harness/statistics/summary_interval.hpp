#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gembench::inline statistics {

/// A 95 % interval, in the unit of its quantity.
struct Interval {
  double low = 0, high = 0;
};

/// Which of a placement's steps, in order of time, ran together: successive steps with the same
/// number. A block counts as one observation (batch means).
class StepBlocks {
 public:
  explicit StepBlocks(std::span<const std::int64_t> block);
  [[nodiscard]] std::size_t count() const { return sizes_.size(); }
  [[nodiscard]] std::vector<double> sums(std::span<const double> values) const;
  [[nodiscard]] std::vector<double> means(std::span<const double> values) const;

 private:
  std::vector<std::size_t> sizes_;
};

// Intervals of the printed numbers of one placement; none below kLeastBlocks blocks, and none for
// unknown values. All allow for correlated successive blocks (see alike() of interval.hpp).
// tests/bench/coverage.py measures their coverage.

/// Of the mean of all steps: Student's t on batch means (Law, "Simulation Modeling and Analysis",
/// 9.5.3). A mean includes the cost of disturbed steps, of which the run may have had none: the
/// upper end allows for one more, of three times the `usual` time (its median).
[[nodiscard]] std::optional<Interval> mean_interval(std::span<const double> values,
                                                    const StepBlocks& blocks, double usual);

/// Of sum(part) / sum(whole), part <= whole: the same of the ratio's linearisation (Cochran,
/// "Sampling Techniques", 6.3). Of the one more delay all may be part, or nothing.
[[nodiscard]] std::optional<Interval> ratio_interval(std::span<const double> part,
                                                     std::span<const double> whole,
                                                     const StepBlocks& blocks, double usual);

/// Of a quantile: the two order statistics that leave it outside with at most 2.5 % each, by the
/// binomial distribution (Conover, "Practical Nonparametric Statistics", 3.2), of as many steps as
/// independent ones would tell as much: fewer where successive steps or those of a block are alike
/// (Woodruff, JASA 1952). None below 24 steps or 6 beyond the quantile, or where steps do not
/// reach.
[[nodiscard]] std::optional<Interval> quantile_interval(std::span<const double> values,
                                                        const StepBlocks& blocks, double q);

/// Of the mean of `shares` [step], each of `of` yes-or-no readings: Wilson's score interval of as
/// many readings as independent ones would tell as much, with Student's t (Kott and Carr, Journal
/// of Official Statistics 1997). `together` such intervals hold at once (Bonferroni).
[[nodiscard]] std::optional<Interval> proportion_interval(std::span<const double> shares, int of,
                                                          const StepBlocks& blocks, int together);

}  // namespace gembench::inline statistics
