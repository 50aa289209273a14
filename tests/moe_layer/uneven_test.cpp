#include <gtest/gtest.h>

#include <vector>

#include "moe_layer/check.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/moe_layer/rig.hpp"

namespace gembench {
namespace {

/// 3 and 10 experts divide by few of the rank counts that these tests run at; with fewer experts
/// than ranks some ranks have nothing but replicas, or nothing at all.
ModelShape uneven_model(int experts) {
  ModelShape model = small_model(0);
  model.layers = 2;
  model.experts = experts;
  model.topk = 2;
  return model;
}

void expect_right(Rig& rig, const Placement& placement, const SplitSpec& split = {}) {
  rig.use(placement, split);
  rig.load();
  const CheckOutcome outcome =
      check_step(rig.comm, *rig.device, rig.model, rig.store, *rig.layers, placement, kSeed);
  EXPECT_TRUE(outcome.passed) << outcome.message;
  std::int64_t computed = 0;
  for (const int tokens : rig.layers->last_slot_tokens()) computed += tokens;
  rig.comm.sum_in_place(std::span(&computed, 1));
  EXPECT_EQ(computed, kTokens * rig.model.topk);
}

TEST(UnevenRanks, outputs_equal_the_plain_reference_where_ranks_do_not_divide_the_experts) {
  for (const int experts : {3, 10}) {
    Rig rig(uneven_model(experts));
    const int ranks = rig.comm.size();
    const Profile equal = equal_ranks(ranks, kTokens * rig.model.topk);
    const CostModel cost(equal);
    const PlanInput plain{rig.trace, cost, 3};
    for (const char* name : {"linear", "round-robin", "eplb", "gem"}) {
      SCOPED_TRACE(std::string(name) + " of " + std::to_string(experts));
      expect_right(rig, plan_by_name(name, plain));
    }
    // Redundant experts that fill every slot: a rank more than there are experts needs them.
    const int slots = std::min(experts, (experts + ranks - 1) / ranks + 1);
    PlanInput filled{.trace = rig.trace, .cost = cost, .slots = slots};
    filled.replicas = ranks * slots - experts;
    filled.all_replicas = true;
    for (const SplitRule rule : {SplitRule::even, SplitRule::water_fill}) {
      filled.split = {rule, &cost};
      for (const char* name : {"eplb", "gem+"}) {
        SCOPED_TRACE(std::string(name) + " of " + std::to_string(experts) + ", filled");
        const Placement placement = plan_by_name(name, filled);
        EXPECT_EQ(std::ranges::count(placement.slot_expert, -1), 0);
        expect_right(rig, placement, filled.split);
      }
    }
  }
}

}  // namespace
}  // namespace gembench
