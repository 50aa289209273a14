#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "placement/placement.hpp"

namespace gembench {

/// How many of an expert's tokens in one step every one of its replicas gets: the one definition.
///
/// Evenly, as EPLB assumes when it plans (https://github.com/deepseek-ai/EPLB, `rebalance_experts`
/// divides a load by its replicas). Tokens are whole, so one rule more, which is ours: with c
/// replicas in rank order, token j of expert e goes to replica (e + j) mod c. So n tokens give
/// every replica n / c, and one more to the first n mod c of them counted from replica e mod c:
/// the remainders of different experts do not all fall on the low ranks, and the split depends on
/// nothing but the counts.
class TokenSplit {
 public:
  /// Validates the placement (usage error) and keeps what it needs of it.
  explicit TokenSplit(const Placement& placement);

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int slots() const { return slots_; }
  [[nodiscard]] int experts() const { return experts_; }
  [[nodiscard]] int layers() const { return layers_; }

  /// `tokens` [expert] of one step and layer -> `row` [rank], overwritten.
  void rank_loads(std::span<const std::int32_t> tokens, int layer,
                  std::span<std::int64_t> row) const;
  /// The same by slot: `row` [rank][slot], 0 for empty slots.
  void slot_loads(std::span<const std::int32_t> tokens, int layer,
                  std::span<std::int64_t> row) const;

 private:
  template <class Add>
  void split(std::span<const std::int32_t> tokens, int layer, Add add) const;

  int layers_;
  int ranks_;
  int slots_;
  int experts_;
  std::vector<std::int32_t> first_;  // [layer][expert + 1], offset into the two below
  // Replicas in the order in which they are served.
  std::vector<std::int32_t> rank_;
  std::vector<std::int32_t> cell_;  // rank * slots + slot
};

}  // namespace gembench
