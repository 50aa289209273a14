#pragma once

#include <cstdint>
#include <vector>

#include "placement/profile.hpp"
#include "placement/trace.hpp"

namespace gembench {

/// [expert] -> rank, for one layer.
using Assignment = std::vector<std::int32_t>;

/// Predicted seconds by rank and load, looked up instead of interpolated: a search asks hundreds of
/// millions of times. Loads beyond the table fall back to the model, so values are always its own.
class CostTable {
 public:
  CostTable(const CostModel& cost, std::int64_t max_load);
  [[nodiscard]] int ranks() const { return cost_.ranks(); }
  [[nodiscard]] const CostModel& model() const { return cost_; }
  /// [load] of one rank; null when loads are too large for a table.
  [[nodiscard]] const double* of(int rank) const {
    return width_ == 0 ? nullptr : seconds_.data() + static_cast<std::size_t>(rank) * width_;
  }

 private:
  const CostModel& cost_;
  std::size_t width_ = 0;
  std::vector<double> seconds_;  // [rank][load]
};

/// The placement problem of one layer: sum over steps of the slowest rank's predicted seconds, with
/// an equal number of experts per rank. Owns the layer's loads, transposed to [expert][step].
class LayerSearch {
 public:
  LayerSearch(const Trace& trace, int layer, const CostTable& table);

  /// The objective, computed from scratch.
  [[nodiscard]] double evaluate(const Assignment& assignment) const;
  /// Longest-processing-time first on the mean load, ranks weighted by their mean slope.
  [[nodiscard]] Assignment speed_weighted_lpt() const;
  /// By falling mean load, each expert to where the objective grows least.
  [[nodiscard]] Assignment greedy() const;
  /// Swaps two experts of two ranks wherever that lowers the objective, until no swap does
  /// (first improvement). Returns the objective; never above that of the start.
  double improve(Assignment& assignment) const;

 private:
  struct State;
  struct PairView;
  [[nodiscard]] const std::int32_t* loads_of(std::size_t expert) const {
    return loads_.data() + expert * steps_;
  }
  [[nodiscard]] double seconds(const double* table, int rank, std::int64_t load) const {
    return table ? table[load] : table_.model().seconds(rank, load);
  }
  void view_pair(const State& state, std::size_t a, std::size_t b, PairView& view) const;
  void order_steps(const State& state, PairView& view) const;
  [[nodiscard]] double gain(const PairView& view, std::size_t from_a, std::size_t from_b,
                            double enough) const;
  template <class SecondsA, class SecondsB>
  [[nodiscard]] double gain_by(const PairView& view, std::size_t from_a, std::size_t from_b,
                               double enough, SecondsA seconds_a, SecondsB seconds_b) const;
  void swap(State& state, const PairView& view, std::size_t from_a, std::size_t from_b) const;

  const CostTable& table_;
  std::size_t steps_;
  std::size_t experts_;
  std::size_t ranks_;
  std::vector<std::int32_t> loads_;   // [expert][step]
  std::vector<std::int64_t> totals_;  // [expert] over all steps
  std::vector<std::size_t> by_load_;  // experts by falling total
};

}  // namespace gembench
