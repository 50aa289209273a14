#include <gtest/gtest.h>

#include "placement/exchange/placement_file.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/loads/planned_steps.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

Trace loads(std::uint64_t seed, int steps) {
  SyntheticSpec spec;
  spec.steps = steps;
  spec.layers = 2;
  spec.experts = 8;
  spec.topk = 2;
  spec.tokens = 64;
  spec.seed = seed;
  return make_trace("serving", spec, {});
}

PlanningRecord planned(const Trace& trace, int first, int count) {
  return {{planned_steps(digests_of(trace), first, count)}, true};
}

TEST(PlannedSteps, TellsStepsOfTheSameTraceByTheirPlace) {
  const auto trace = loads(1, 20);
  const auto digests = digests_of(trace);
  const auto record = planned(trace, 4, 6);  // 4 .. 9
  EXPECT_EQ(count_planned(record, digests, 0, 20), 6);
  EXPECT_EQ(count_planned(record, digests, 0, 4), 0);
  EXPECT_EQ(count_planned(record, digests, 10, 10), 0);
  EXPECT_EQ(count_planned(record, digests, 9, 11), 1);
}

TEST(PlannedSteps, TellsStepsInAnotherFileByTheirLoads) {
  const auto trace = loads(1, 20);
  const auto record = planned(trace, 0, 10);
  EXPECT_EQ(count_planned(record, digests_of(slice(trace, 8, 8)), 0, 8), 2);
  EXPECT_EQ(count_planned(record, digests_of(slice(trace, 10, 10)), 0, 10), 0);
  EXPECT_EQ(count_planned(record, digests_of(loads(2, 20)), 0, 20), 0);
  EXPECT_EQ(count_planned(record, digests_of(first_layers(trace, 1)), 0, 20), 0)
      << "other layers are other loads";
}

TEST(PlannedSteps, LoadsThatComeAgainTellNoStepOfAnotherTrace) {
  auto trace = loads(1, 6);
  const auto one = slice(trace, 0, 1);
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer)
      std::ranges::copy(one.loads(0, layer), trace.loads(step, layer).begin());
  const auto record = planned(trace, 0, 3);
  EXPECT_EQ(count_planned(record, digests_of(slice(trace, 1, 5)), 0, 5), 0);
  EXPECT_EQ(count_planned(record, digests_of(trace), 0, 6), 3) << "by place";
}

TEST(PlannedSteps, ARecordIsKeptByTheFileAndAForeignOneIsRefusedOrUnknown) {
  PlacementFile file;
  file.placement = empty_placement(1, 2, 2);
  file.placement.slot_expert = {0, 1};
  EXPECT_FALSE(placement_from_json(placement_to_json(file)).planned_on) << "an older file";
  file.planned_on.emplace();
  EXPECT_TRUE(placement_from_json(placement_to_json(file)).planned_on->parts.empty());
  const auto trace = loads(1, 20);
  file.planned_on = planned(trace, 3, 4);
  file.planned_on->complete = false;
  const auto text = placement_to_json(file);
  const auto read = placement_from_json(text).planned_on;
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->complete);
  ASSERT_EQ(read->parts.size(), 1u);
  EXPECT_EQ(read->parts[0].trace, digests_of(trace).trace);
  EXPECT_EQ(read->parts[0].first, 3);
  EXPECT_EQ(read->parts[0].steps, file.planned_on->parts[0].steps);
  const auto with = [&](const std::string& from, const std::string& to) {
    auto changed = text;
    changed.replace(changed.find(from), from.size(), to);
    return placement_from_json(changed).planned_on;
  };
  EXPECT_FALSE(with("\"digest_version\":1", "\"digest_version\":2"));
  expect_refused("neither true nor false",
                 [&] { (void)with("\"complete\":false", "\"complete\":0"); });
  expect_refused("'first'", [&] { (void)with("\"first\":3", "\"first\":-1"); });
  expect_refused("no digests", [&] { (void)with("\"steps\":\"", "\"steps\":\"z"); });
  expect_refused("not one digest", [&] { (void)with("\"trace\":\"", "\"other\":\""); });
  expect_refused("'parts'", [&] { (void)with("\"parts\":[", "\"parts\":7,\"p\":["); });
}

TEST(PlannedSteps, StrategiesSayWhetherTheyLookAtLoads) {
  for (const auto& strategy : strategy_table()) {
    const bool blind =
        strategy.name == "linear" || strategy.name == "round-robin" || strategy.name == "random";
    EXPECT_EQ(looks_at_loads(strategy.name), !blind) << strategy.name;
  }
  EXPECT_FALSE(looks_at_loads("file:gem.json"));
  EXPECT_TRUE(looks_at_loads("relabel:linear"));
  EXPECT_EQ(file_in("relabel:relabel:file:a b.json"), "a b.json");
  EXPECT_EQ(file_in("relabel:gem"), "");
}

}  // namespace
}  // namespace gembench
