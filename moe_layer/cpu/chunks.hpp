#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace gembench::inline cpu {

/// What a chunk of so many rows of an expert takes, in seconds: the expert's first chunk, whose
/// weights come from memory, and a further one. Not measured: infinite.
struct ChunkCost {
  int rows = 0;
  double first = 0;
  double next = 0;
};

/// How many rows of an expert go through its products together, and as how many they are computed:
/// the cheapest way by given costs. A pure function of them, so ranks that agree on the costs agree
/// on the plan.
class ChunkPlan {
 public:
  /// `costs` by ascending rows, finite.
  explicit ChunkPlan(std::span<const ChunkCost> costs);

  /// Rows to compute next where `left` rows of an expert are left; more than `left` = padding.
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

/// Row counts that may pay as kernels of an expert, ascending. On AMX (`tiles`) these are whole
/// tiles, since oneDNN's time for others jumps and making a kernel takes 10 ms; elsewhere rows take
/// what they take, kernels are cheap, and padding stays below 1/32.
[[nodiscard]] std::vector<int> chunk_row_counts(bool tiles);

/// Those of them to measure, the most telling first: time may run out.
[[nodiscard]] std::vector<int> measured_row_counts(bool tiles);

/// Costs of `row_counts` from those that were measured: with `tiles` only these, elsewhere also
/// what lies between them or beyond, on lines.
[[nodiscard]] std::vector<ChunkCost> complete_costs(std::span<const ChunkCost> measured,
                                                    bool tiles);

/// Costs where measuring does not pay: rows, and a chunk as such.
[[nodiscard]] std::vector<ChunkCost> assumed_costs();

}  // namespace gembench::inline cpu
