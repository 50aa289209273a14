#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline search {

/// Seconds of one rank against its load in whole units: lines from start to the next start.
class RankCost {
 public:
  /// base + slope * (load - start) seconds.
  struct Line {
    double start, base, slope;
  };
  RankCost() = default;
  /// `lines` ascend, the first starts at 0; loads up to max_load will be asked for.
  RankCost(std::vector<Line> lines, std::int64_t max_load);

  [[nodiscard]] double operator()(std::int64_t load) const {
    const auto x = static_cast<double>(load);
    const auto* line = lines_.data() + line_of_[static_cast<std::size_t>(load >> shift_)];
    while (x >= line[1].start) ++line;
    return line->base + line->slope * (x - line->start);
  }
  /// Least seconds of any load of at least this; less than its own if the curve falls later.
  [[nodiscard]] double least_from(std::int64_t load) const {
    return rises_ ? (*this)(load) : least_where_it_falls(load);
  }
  /// A line that is nowhere above the curve up to max_load and touches it near `load`.
  [[nodiscard]] Line line_below(std::int64_t load) const;
  /// The lines that hold for loads in [from, to].
  [[nodiscard]] std::span<const Line> lines(double from, double to) const;

 private:
  [[nodiscard]] double least_where_it_falls(std::int64_t load) const;

  std::int64_t max_load_ = 0;
  bool rises_ = true;        // nowhere falling
  std::vector<Line> lines_;  // with one behind the last that starts nowhere
  int shift_ = 0;
  std::vector<std::uint16_t> line_of_;  // [load >> shift] the line at the cell's beginning
};

/// A cost model in the form that searches use: an expert adds a whole number of units to its rank's
/// load in a step, and a rank's seconds are a function of its load. For `sum` a unit is a token;
/// for `per-expert` it is a fixed small time (2^-30 of the largest rank's, ours) and the function
/// is a line. Whole numbers make sums independent of their order: incremental equals recomputed, on
/// every machine and thread count.
class SearchCosts {
 public:
  /// Usage error for a trace without steps, with counts below zero or of another size than it says,
  /// and when a rank with `slots` experts could get more tokens in a step of `trace` than
  /// 32 bits count.
  SearchCosts(const CostModel& model, const Trace& trace, int slots);

  [[nodiscard]] const CostModel& model() const { return model_; }
  [[nodiscard]] std::size_t ranks() const { return ranks_; }
  /// Whether what an expert adds depends on the rank it is on.
  [[nodiscard]] bool by_rank() const { return model_.kind() == CostKind::per_expert; }
  /// Whether what an expert adds fits 16 bits.
  [[nodiscard]] bool narrow() const { return narrow_; }
  [[nodiscard]] std::int64_t max_load() const { return max_load_; }
  [[nodiscard]] const RankCost& of(std::size_t rank) const { return cost_[rank]; }
  /// Units an expert with that many tokens adds to the load of a rank.
  [[nodiscard]] std::int32_t units(std::size_t rank, std::int32_t tokens) const {
    if (!by_rank()) return tokens;
    return units_.empty() ? units_of(rank, tokens)
                          : units_[rank * units_width_ + static_cast<std::size_t>(tokens)];
  }
  /// The level of seconds on the scale of load_within(); rounded down, but not below the least time
  /// of any rank.
  [[nodiscard]] std::size_t level(double seconds) const {
    const auto at = (seconds - lowest_) * per_second_ - 1e-3;
    if (at <= 0) return 0;
    return at < static_cast<double>(kLevels) ? static_cast<std::size_t>(at) : kLevels;
  }
  /// A load up to which (and at every load below it) a rank takes no longer than the seconds of a
  /// level, -1 where there is none. May be a little too small, never too large.
  [[nodiscard]] std::int32_t load_within(std::size_t rank, std::size_t level) const {
    return within_[rank * (kLevels + 1) + level];
  }

 private:
  static constexpr std::size_t kLevels = 4096;
  [[nodiscard]] std::int32_t units_of(std::size_t rank, std::int32_t tokens) const;
  void make_tokens(std::int64_t most);
  void make_experts(const Trace& trace, std::int32_t most_tokens, int slots);
  void invert();

  const CostModel& model_;
  std::size_t ranks_;
  bool narrow_ = false;
  std::int64_t max_load_ = 0;
  std::vector<RankCost> cost_;  // [rank]
  double unit_ = 1;             // seconds of one unit (`per-expert`)
  std::size_t units_width_ = 0;
  std::vector<std::int32_t> units_;   // [rank][tokens]
  double lowest_ = 0;                 // seconds of level 0
  double per_second_ = 0;             // levels per second
  std::vector<std::int32_t> within_;  // [rank][level]
};

}  // namespace gembench::inline search
