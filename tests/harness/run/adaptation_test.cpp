#include "harness/run/adaptation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/cli/placement_names.hpp"
#include "harness/run/injected_drift.hpp"
#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "placement/cost/objective.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench {
namespace {

constexpr int kRanks = 4, kExperts = 16, kLayers = 2, kSegment = 8, kPlanned = 256, kMeasured = 160;

Trace loads(int steps) {
  SyntheticSpec spec;
  spec.steps = steps;
  spec.layers = kLayers;
  spec.experts = kExperts;
  spec.topk = 2;
  spec.tokens = 512;
  spec.seed = 5;
  return make_trace("serving", spec, {});
}

Profile profile_of(const std::vector<double>& slowdown) {
  Profile profile = equal_ranks(kRanks, 2048);
  for (std::size_t at = 0; at < profile.latency.size(); ++at) {
    profile.latency[at] *= 1e-6 * slowdown[at / profile.load_points.size()];
  }
  profile.slowdown = slowdown;
  return profile;
}

/// What a run would read if every rank took exactly its predicted time, give or take `noise`.
class Machine {
 public:
  Machine(const Trace& plan, const Trace& measured) : plan_(plan), measured_(measured) {}

  std::vector<double> slowdown{1.0, 1.0, 1.0, 1.3};
  std::vector<InjectedDrift> drifts;
  double noise = 0.02;

  [[nodiscard]] Placement planned() const {
    const Profile profile = profile_of(slowdown);
    const CostModel cost(profile);
    return plan_gem({plan_, cost, 1});
  }
  [[nodiscard]] Adaptation adaptation() const {
    AdaptationOptions options;
    options.profile_slots = kExperts / kRanks;
    options.segment_steps = kSegment;
    return Adaptation(planned(), profile_of(slowdown), plan_, options);
  }
  [[nodiscard]] RunShape shape() const {
    return {1, measured_.steps, kLayers, kRanks, kExperts, kExperts / kRanks, 0};
  }
  SegmentRecord segment(const Placement& placement, int first) {
    SegmentRecord block;
    block.at = {0, first, kSegment, first / kSegment};
    auto& seconds = block.time[time_at("expert_time")];
    auto& tokens = block.count[count_at("assignments")];
    const auto all = rank_loads(slice(measured_, first, kSegment), placement);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const int step = first + static_cast<int>(i / (kLayers * kRanks));
      const Profile now = profile_of(slowdown_at(slowdown, drifts, step));
      tokens.push_back(all[i]);
      seconds.push_back(CostModel(now).seconds(static_cast<int>(i % kRanks), all[i]) *
                        (1 + noise * (random_.uniform() - 0.5)));
    }
    return block;
  }
  /// Predicted seconds of the steps from `first` on, by the true speeds there.
  [[nodiscard]] double time_of(const Placement& placement, int first) const {
    const Profile now = profile_of(slowdown_at(slowdown, drifts, first));
    return objective(slice(measured_, first, measured_.steps - first), placement, CostModel(now));
  }
  [[nodiscard]] const Trace& measured() const { return measured_; }

 private:
  Trace plan_, measured_;
  Random random_{3};
};

Machine machine(const std::vector<InjectedDrift>& drifts) {
  const Trace all = loads(kPlanned + kMeasured);
  Trace measured = slice(all, kPlanned, kMeasured);
  change_tasks(measured, drifts, 9);
  Machine made(slice(all, 0, kPlanned), measured);
  made.drifts = drifts;
  return made;
}

struct Outcome {
  int changes = 0, first_change_after = -1;
  Placement last;
  std::vector<ReplanRecord::Reason> reasons;
};

Outcome run(Machine& machine) {
  Adaptation adaptation = machine.adaptation();
  Outcome outcome;
  for (int first = 0; first < kMeasured; first += kSegment) {
    const SegmentRecord block = machine.segment(adaptation.placement(), first);
    const auto change = adaptation.observe(block, machine.shape(), machine.measured());
    if (!change) continue;
    if (outcome.changes++ == 0) outcome.first_change_after = first + kSegment;
    outcome.reasons.push_back(change->reason);
    EXPECT_GT(change->predicted_gain, 0);
  }
  outcome.last = adaptation.placement();
  return outcome;
}

TEST(Adaptation, changes_nothing_when_nothing_drifts) {
  for (const double noise : {0.0, 0.02, 0.06}) {
    Machine quiet = machine({});
    quiet.noise = noise;
    EXPECT_EQ(run(quiet).changes, 0) << "noise " << noise;
  }
}

TEST(Adaptation, gets_most_of_what_planning_for_the_new_speeds_would) {
  Machine drifting = machine({{InjectedDrift::Kind::slow, 48}});
  const Outcome outcome = run(drifting);
  ASSERT_GE(outcome.changes, 1);
  EXPECT_EQ(outcome.reasons.front(), ReplanRecord::Reason::speeds);
  EXPECT_LE(outcome.first_change_after, 48 + 2 * kSegment) << "two segments show it";
  const Profile then = profile_of(slowdown_at(drifting.slowdown, drifting.drifts, 48));
  const Trace all = loads(kPlanned + kMeasured);
  const CostModel cost(then);
  const Placement oracle = plan_gem({slice(all, 0, kPlanned), cost, 1});
  const double before = drifting.time_of(drifting.planned(), 64);
  const double gained = before - drifting.time_of(outcome.last, 64);
  EXPECT_GE(gained, 0.8 * (before - drifting.time_of(oracle, 64)));
}

TEST(Adaptation, tells_changed_loads_from_changed_speeds) {
  Machine drifting = machine({{InjectedDrift::Kind::task, 48}});
  drifting.slowdown.assign(kRanks, 1.0);
  const Outcome outcome = run(drifting);
  ASSERT_GE(outcome.changes, 1);
  for (const auto reason : outcome.reasons) EXPECT_EQ(reason, ReplanRecord::Reason::loads);
  EXPECT_LT(drifting.time_of(outcome.last, 96), drifting.time_of(drifting.planned(), 96));
}

TEST(SpeedWatch, what_all_ranks_share_is_no_drift) {
  Machine throttled = machine({});
  SpeedWatch watch(profile_of(throttled.slowdown));
  for (int first = 0; first < 80; first += kSegment) {
    SegmentRecord block = throttled.segment(throttled.planned(), first);
    for (double& seconds : block.time[time_at("expert_time")]) {
      seconds *= first < 40 ? 1.0 : 1.25;
    }
    EXPECT_FALSE(watch.observe(block, throttled.shape())) << first;
  }
}

TEST(InjectedDrift, is_parsed_and_moves_the_slow_rank_on) {
  const auto drifts = parse_drift("slow@40,task@60,slow@80");
  EXPECT_EQ(to_text(drifts), "slow@40,task@60,slow@80");
  const std::vector<double> slowdown{1, 2, 3};
  EXPECT_EQ(slowdown_at(slowdown, drifts, 39), slowdown);
  EXPECT_EQ(slowdown_at(slowdown, drifts, 40), (std::vector<double>{3, 1, 2}));
  EXPECT_EQ(slowdown_at(slowdown, drifts, 80), (std::vector<double>{2, 3, 1}));
  for (const char* text : {"slow", "fast@3", "slow@x", "slow@-1", "@4"}) {
    EXPECT_THROW(static_cast<void>(parse_drift(text)), Error) << text;
  }
}

TEST(InjectedDrift, a_task_keeps_the_skew_and_ids_agree_with_counts) {
  Trace trace;
  trace.steps = 4;
  trace.layers = 2;
  trace.experts = 6;
  trace.topk = 2;
  Random random(1);
  for (int i = 0; i < 4 * 10 * 2; ++i) {
    const auto first = static_cast<std::uint16_t>(random.below(6));
    trace.topk_ids.push_back(first);
    trace.topk_ids.push_back(static_cast<std::uint16_t>((first + 1 + random.below(5)) % 6));
  }
  count_tokens(trace, 10);
  Trace changed = trace;
  change_tasks(changed, {{InjectedDrift::Kind::task, 2}}, 7);
  validate(changed);
  EXPECT_NE(changed.tokens, trace.tokens);
  for (int step = 0; step < 4; ++step) {
    for (int layer = 0; layer < 2; ++layer) {
      const auto a = trace.loads(step, layer), b = changed.loads(step, layer);
      std::vector<std::int32_t> was(a.begin(), a.end()), is(b.begin(), b.end());
      if (step < 2) {
        EXPECT_EQ(was, is);
      }
      std::ranges::sort(was);
      std::ranges::sort(is);
      EXPECT_EQ(was, is);
    }
  }
}

TEST(PlacementName, is_read_from_the_placements_name) {
  EXPECT_TRUE(parse_placement_name("adapt:gem+").adapts);
  EXPECT_EQ(parse_placement_name("adapt:gem+").strategy, "gem+");
  EXPECT_TRUE(parse_placement_name("oracle:gem").oracle);
  EXPECT_FALSE(parse_placement_name("file:adapt:x.json").is_dynamic());
}

}  // namespace
}  // namespace gembench
