#include "moe_layer/cpu/chunks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "moe_layer/cpu/gemm.hpp"

namespace gembench::inline cpu {
namespace {

// The counts measured everywhere, and further ones where neighbours do not predict them.
constexpr int kMostChunkRows = CpuGemm::kChunk;
constexpr std::array kTelling = {16, 64, 4, 32, 128, 8, 2, 1, kMostChunkRows};
constexpr std::array kMoreBetweenLines = {3, 6, 12, 24, 48, 96, 192};
constexpr std::array kMoreOfTiles = {48,  96,  192, 24,  80, 112, 160,
                                     224, 144, 176, 208, 40, 240, 56};

// A plan of more chunks must be better by this: costs are measured, and noise finds gains.
constexpr double kWorth = 0.96;

/// Seconds at `rows` on the line through two costs.
double on_line(const ChunkCost& a, const ChunkCost& b, double ChunkCost::*which, int rows) {
  const double slope = (b.*which - a.*which) / (b.rows - a.rows);
  return a.*which + std::max(0.0, slope) * (rows - a.rows);
}

}  // namespace

ChunkPlan::ChunkPlan(std::span<const ChunkCost> costs) {
  std::vector<double> rest(kPlanned + 1, 0);  // [rows left] seconds of the chunks after the first
  first_[0] = next_[0] = static_cast<std::int16_t>(costs.front().rows);
  const auto choose = [&](int left, double ChunkCost::*which, std::int16_t& rows) {
    double best = std::numeric_limits<double>::infinity();
    for (auto cost = costs.rbegin(); cost != costs.rend(); ++cost) {  // fewest chunks first
      const auto then = static_cast<std::size_t>(std::max(0, left - cost->rows));
      const double seconds = (*cost).*which + rest[then];
      // Less padding is accepted for any gain, more chunks only for a real one.
      if (seconds < (cost->rows >= left ? best : best * kWorth)) {
        best = seconds;
        rows = static_cast<std::int16_t>(cost->rows);
      }
    }
    return best;
  };
  for (int left = 1; left <= kPlanned; ++left) {
    const auto at = static_cast<std::size_t>(left);
    rest[at] = choose(left, &ChunkCost::next, next_[at]);
    choose(left, &ChunkCost::first, first_[at]);
  }
}

std::vector<int> ChunkPlan::row_counts() const {
  std::vector<int> counts(first_.begin() + 1, first_.end());
  counts.insert(counts.end(), next_.begin() + 1, next_.end());
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

std::vector<int> chunk_row_counts(bool tiles) {
  std::vector<int> counts;
  if (tiles) {
    counts = measured_row_counts(true);
    std::sort(counts.begin(), counts.end());
    return counts;
  }
  constexpr int kFinest =
      64;  // rows, above which counts go in steps of two, and of four from twice that
  for (int rows = 1; rows < kMostChunkRows; rows += rows < kFinest       ? 1
                                                    : rows < 2 * kFinest ? 2
                                                                         : 4) {
    counts.push_back(rows);
  }
  counts.push_back(kMostChunkRows);
  return counts;
}

std::vector<int> measured_row_counts(bool tiles) {
  std::vector<int> counts(kTelling.begin(), kTelling.end());
  if (tiles) {
    counts.insert(counts.end(), kMoreOfTiles.begin(), kMoreOfTiles.end());
  } else {
    counts.insert(counts.end(), kMoreBetweenLines.begin(), kMoreBetweenLines.end());
  }
  return counts;
}

std::vector<ChunkCost> complete_costs(std::span<const ChunkCost> measured, bool tiles) {
  std::vector<ChunkCost> known;
  for (const ChunkCost& cost : measured) {
    if (std::isfinite(cost.first + cost.next)) known.push_back(cost);
  }
  std::ranges::sort(known, {}, &ChunkCost::rows);
  if (known.size() < 2) return assumed_costs();
  if (tiles) return known;
  std::vector<ChunkCost> all;
  for (const int rows : chunk_row_counts(false)) {
    auto upper = std::ranges::lower_bound(known, rows, {}, &ChunkCost::rows);
    if (upper != known.end() && upper->rows == rows) {
      all.push_back(*upper);
      continue;
    }
    upper = std::clamp(upper, known.begin() + 1, known.end() - 1);
    const ChunkCost& lower = *(upper - 1);
    all.push_back({rows, on_line(lower, *upper, &ChunkCost::first, rows),
                   on_line(lower, *upper, &ChunkCost::next, rows)});
  }
  return all;
}

std::vector<ChunkCost> assumed_costs() {
  constexpr double kChunk = 16;  // in rows: the fixed cost of a chunk
  std::vector<ChunkCost> costs;
  for (const int rows : CpuGemm::kRowCounts) costs.push_back({rows, kChunk + rows, kChunk + rows});
  return costs;
}

}  // namespace gembench::inline cpu
