#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace gembench::inline cpu {

/// The cost of a chunk by its number of rows, in seconds: of the expert's first chunk, whose
/// weights come from memory, and of a further one. Not measured: infinite.
struct ChunkCost {
  int rows = 0;
  double first = 0;
  double next = 0;
};

/// The division of an expert's rows into chunks, and the padded size of each chunk: the cheapest
/// one for given costs. A pure function of the costs, so ranks that agree on them agree on the
/// plan.
class ChunkPlan {
 public:
  /// `costs` by ascending rows, finite.
  explicit ChunkPlan(std::span<const ChunkCost> costs);

  /// Rows to compute next when `left` rows of an expert are left; more than `left` = padding.
  [[nodiscard]] int rows_of(int left, bool first) const {
    const auto at = static_cast<std::size_t>(left < kPlanned ? left : kPlanned);
    return (first ? first_ : next_)[at];
  }
  /// Row counts that it uses, ascending.
  [[nodiscard]] std::vector<int> row_counts() const;

 private:
  static constexpr int kPlanned = 1024;                  // more rows are taken as so many
  std::array<std::int16_t, kPlanned + 1> first_, next_;  // [rows left]
};

/// Row counts that may be worth a kernel, ascending. On AMX (`tiles`) these are whole tiles, since
/// oneDNN is much slower for other counts and making a kernel takes 10 ms; elsewhere the cost
/// follows the rows, kernels are cheap, and padding stays below 1/32.
[[nodiscard]] std::vector<int> chunk_row_counts(bool tiles);

/// The counts to measure, the most informative first, since time may run out.
[[nodiscard]] std::vector<int> measured_row_counts(bool tiles);

/// Costs of `row_counts` from the measured ones: with `tiles` only these, elsewhere also between
/// and beyond them, by lines.
[[nodiscard]] std::vector<ChunkCost> complete_costs(std::span<const ChunkCost> measured,
                                                    bool tiles);

/// Assumed costs where measuring is not worthwhile: one per row, and a fixed one per chunk.
[[nodiscard]] std::vector<ChunkCost> assumed_costs();

}  // namespace gembench::inline cpu
