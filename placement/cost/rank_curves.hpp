#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// Seconds of every rank against its tokens, and the tokens that fit into given seconds. Falling
/// curves are replaced by their running maximum, so that there is one answer. With cost model
/// `per-expert` tokens are spread evenly over the profile's slots.
class RankCurves {
 public:
  /// More tokens than any step has; the sum over all ranks still fits 64 bits.
  static constexpr std::int64_t kEndless = std::int64_t{1} << 44;

  /// Keeps what it needs of the model.
  explicit RankCurves(const CostModel& cost);

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] double seconds(int rank, std::int64_t tokens) const;
  /// Without tokens.
  [[nodiscard]] double idle(int rank) const { return of(rank)[0]; }
  /// The load, fractional, that takes this long; below 0 where even no tokens take longer, infinite
  /// where the curve ends flat.
  [[nodiscard]] double load_within(int rank, double seconds) const;
  /// The most whole tokens that take no longer, at most kEndless; -1 where none do.
  [[nodiscard]] std::int64_t tokens_within(int rank, double seconds) const;
  /// The least seconds, not below `from`, in which `some` ranks together take `tokens`. Exact: one
  /// of these ranks takes exactly that long, unless it is `from`.
  [[nodiscard]] double least_seconds(std::span<const std::int32_t> some, std::int64_t tokens,
                                     double from) const;

 private:
  [[nodiscard]] const double* of(int rank) const {
    return seconds_.data() + static_cast<std::size_t>(rank) * load_points_.size();
  }

  int ranks_;
  std::vector<double> load_points_;
  std::vector<double> seconds_;  // [rank][load_point], nowhere falling
  std::vector<double> slope_;    // [rank][load_point] of the piece that begins there
};

}  // namespace gembench::inline cost
