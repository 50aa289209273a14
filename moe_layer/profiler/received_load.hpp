#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/device/device_calls.hpp"
#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline profiler {

/// A load that dispatch could deliver to a rank in one layer, as if one rank had sent it all.
struct ReceivedLoad {
  std::vector<Pair> pairs;  ///< those of a row side by side
  std::int32_t rows = 0;
  std::vector<std::int32_t> slot_tokens;  ///< [slot]
};

/// How an even load is laid out: experts get nearly the same, up to 3/13 more or less than the
/// mean.
struct EvenLoad {
  std::int64_t tokens = 0;  ///< one count per (token, expert)
  int active = 1;           ///< experts that share them nearly evenly
  int first = 0;            ///< slot of the first; they go around
  int slots = 1;
  std::int64_t max_rows = 0;  ///< distinct tokens at most
  double rows_per_pair = 1;   ///< distinct tokens of as many pairs; no row twice on an expert
};
[[nodiscard]] ReceivedLoad even_load(const EvenLoad& load);

/// Real loads of every rank: `count` pairs (step, layer) drawn from the trace, each with all of its
/// tokens' experts. Every other one with the experts on the placement's ranks, the others with the
/// experts shuffled over the ranks, so that each rank gets hot and cold ones. The same on every
/// rank; a pure function of its arguments.
class RoutedLoads {
 public:
  /// `placement`: without replicas. No loads of an empty trace.
  RoutedLoads(const Trace& trace, const Placement& placement, int count, std::uint64_t seed);

  [[nodiscard]] std::size_t count() const { return drawn_.size(); }
  [[nodiscard]] ReceivedLoad of(int rank, std::size_t index) const;
  /// Distinct tokens of a rank by its pairs, all loads together; 1 without any.
  [[nodiscard]] double rows_per_pair() const;

 private:
  struct Drawn {
    std::vector<std::uint16_t> ids;   // [token][k]
    std::vector<Location> locations;  // [expert]
  };
  int topk_, ranks_, slots_;
  std::vector<Drawn> drawn_;
};

}  // namespace gembench::inline profiler
