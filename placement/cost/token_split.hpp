#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "placement/cost/least_split.hpp"
#include "placement/cost/placement.hpp"
#include "placement/cost/water_fill.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline cost {

/// The rule that divides an expert's tokens among its replicas.
enum class SplitRule {
  even,        ///< equally
  by_speed,    ///< in proportion to the speeds of the replicas' ranks: 1 / CostModel::mean_slope
  water_fill,  ///< step by step, equalising predicted finish times (water_fill.hpp)
  least,       ///< step by step, the least time of the slowest rank (least_split.hpp)
  one_per_source,  ///< every rank sends all its tokens of an expert to one replica (vllm-ascend)
  local_first      ///< a rank that holds a replica uses that one, others split evenly (SGLang)
};

/// Whether the rule needs the tokens of all ranks.
constexpr bool needs_all_tokens(SplitRule rule) {
  return rule == SplitRule::water_fill || rule == SplitRule::least;
}

/// A rule and the speeds that it uses. Equal speeds give the variant that ignores speed.
struct SplitSpec {
  SplitRule rule = SplitRule::even;
  const CostModel* cost = nullptr;  ///< needed by `by_speed`, `water_fill` and `least`
};

/// How many of an expert's tokens in one step each of its replicas gets: the only definition. No
/// rule loses or adds tokens, and all depend only on their arguments.
///
/// `even`, as EPLB assumes when it plans (https://github.com/deepseek-ai/EPLB, `rebalance_experts`
/// divides a load by its replicas). Tokens are whole, so remainders need a rule, which is ours:
/// with c replicas in rank order, token j of expert e goes to replica (e + j + shift) mod c. So n
/// tokens give every replica n / c, and one more to n mod c of them: the remainders of different
/// experts do not all fall on the low ranks.
///
/// A rank that holds an expert in two slots (Placement::repeats) gets two shares by `even` and
/// `by_speed`, as in an engine, which sends tokens to slots.
///
/// `by_speed` (ours): shares of n laid end to end and rounded where they meet, so that a replica
/// gets its share rounded up or down. Where rounding begins depends on `shift`: over many shifts
/// every replica gets its share on average, even of single tokens.
///
/// `water_fill` (ours): begins with the even split, then levels one replicated expert after the
/// other until nothing changes, at most kWaterFillRounds times. Needs the tokens of all ranks.
///
/// `least`: the optimum that LPLB's linear program has (least_split.hpp); with speeds it is ours.
/// Needs the tokens of all ranks.
///
/// `one_per_source`, as vllm-ascend (0.23.0, `init_eplb_config`): rank r sends to replica r mod c,
/// in the order of slots. Of all ranks' tokens, each replica gets the share of the ranks that send
/// to it, as if all had equally many.
///
/// `local_first`, as SGLang (0.5.23, with an all-to-all backend): tokens stay on a rank that holds
/// their expert. SGLang then prefers a replica on the node; that is not modelled. Of all ranks'
/// tokens, the even split, which it is if all have equally many.
///
/// `source` is the rank whose tokens these are; none: the tokens of all ranks together. By `even`
/// and `by_speed` it also turns remainders, so that those of all ranks do not meet on one replica.
class TokenSplit {
 public:
  /// Validates the placement (usage error) and keeps what it needs of it and of `cost`. Usage error
  /// for a rule that needs a cost model of as many ranks and got none.
  explicit TokenSplit(const Placement& placement, SplitRule rule = SplitRule::even,
                      const CostModel* cost = nullptr);
  TokenSplit(const Placement& placement, const SplitSpec& spec)
      : TokenSplit(placement, spec.rule, spec.cost) {}

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int slots() const { return slots_; }
  [[nodiscard]] int experts() const { return experts_; }
  [[nodiscard]] int layers() const { return layers_; }
  [[nodiscard]] SplitRule rule() const { return rule_; }
  /// Whether the split of a rank's tokens depends on which rank that is, by more than remainders.
  [[nodiscard]] bool depends_on_source() const {
    return rule_ == SplitRule::one_per_source || rule_ == SplitRule::local_first;
  }

  /// `tokens` [expert] of one step and layer -> `row` [rank], overwritten. Any thread at any time;
  /// allocates only the first time on a thread.
  void rank_loads(std::span<const std::int32_t> tokens, int layer, std::span<std::int64_t> row,
                  std::optional<int> source = {}) const;
  /// Loads of slots: `row` [rank][slot], 0 for empty slots.
  void slot_loads(std::span<const std::int32_t> tokens, int layer, std::span<std::int64_t> row,
                  std::optional<int> source = {}) const;
  /// The same of a step of a trace, by its source ranks where the rule depends on them and the
  /// trace has them.
  void rank_loads(const Trace& trace, int step, int layer, std::span<std::int64_t> row) const;
  void slot_loads(const Trace& trace, int step, int layer, std::span<std::int64_t> row) const;

 private:
  template <class Add>
  void split(std::span<const std::int32_t> tokens, int layer, std::optional<int> source,
             Add add) const;
  template <class Add>
  void split(const Trace& trace, int step, int layer, Add add) const;
  /// The replica in [at, at + copies) that gets all of a rank's tokens; none: they are split.
  [[nodiscard]] std::optional<std::size_t> only_replica(std::size_t at, std::size_t copies,
                                                        int source) const;
  template <class Add>
  void fill(std::span<const std::int32_t> tokens, int layer, std::size_t shift, Add add) const;
  template <class Add>
  void fill_least(std::span<const std::int32_t> tokens, int layer, Add add) const;
  void find_edges(const CostModel& cost);
  void find_shares(const CostModel& cost);
  void count_senders();

  int layers_;
  int ranks_;
  int slots_;
  int experts_;
  SplitRule rule_;
  std::vector<std::int32_t> first_;  // [layer][expert + 1], offset into those below
  // Replicas in the order in which they are served.
  std::vector<std::int32_t> rank_;
  std::vector<std::int32_t> cell_;  // rank * slots + slot
  // by_speed, one_per_source: weights of an expert's replicas up to this
  std::vector<std::int64_t> share_;
  std::optional<WaterFill> water_;         // water_fill
  std::optional<RankCurves> curves_;       // least
  std::vector<ReplicaEdges> edges_;        // least: [layer]
  std::vector<std::int32_t> shared_;       // experts with replicas
  std::vector<std::size_t> first_shared_;  // [layer + 1] offset into shared_
};

/// Rounds of equalising; ours. Later rounds change almost nothing.
inline constexpr int kWaterFillRounds = 4;

}  // namespace gembench::inline cost
