#include "harness/cli/run_length.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

RunCommand run_of(std::vector<std::string> placements) {
  RunCommand options;
  options.placements = std::move(placements);
  return options;
}

RunCommand with_steps(RunCommand options, int steps) {
  options.steps = steps;
  options.steps_stated = true;
  return options;
}

TEST(RunLength, without_steps_a_comparison_runs_until_it_is_precise_or_its_time_is_over) {
  RunCommand o = run_of({"linear", "gem"});
  settle_length(o);
  EXPECT_EQ(o.precision, 2);
  EXPECT_EQ(o.max_seconds, 150);
  EXPECT_EQ(o.steps, 512) << "at most";
  EXPECT_TRUE(may_end_early(o));
  EXPECT_EQ(stop_rule(o).precision, 0.02) << "a fraction";
}

TEST(RunLength, stated_steps_alone_are_exact) {
  RunCommand o = with_steps(run_of({"linear", "gem"}), 48);
  settle_length(o);
  EXPECT_EQ(o.steps, 48);
  EXPECT_FALSE(may_end_early(o));
  EXPECT_EQ(at_last_step(o), "48 steps were measured, as --steps asks");
}

TEST(RunLength, stated_steps_are_a_limit_beside_a_rule) {
  RunCommand o = with_steps(run_of({"linear", "gem"}), 48);
  o.precision = 5;
  settle_length(o);
  EXPECT_EQ(o.steps, 48);
  EXPECT_EQ(o.max_seconds, 150);
  o = with_steps(run_of({"linear", "gem"}), 48);
  o.max_seconds = 10;
  settle_length(o);
  EXPECT_FALSE(o.precision) << "nobody asked for it";
  EXPECT_EQ(at_last_step(o), "48 steps were measured, the most that --steps allows");
}

TEST(RunLength, what_changes_or_is_alone_is_measured_at_a_fixed_length) {
  RunCommand drifting = run_of({"linear", "gem"});
  drifting.drift = "task@8";
  for (RunCommand o : {run_of({"gem"}), run_of({"linear", "adapt:gem"}), drifting}) {
    EXPECT_FALSE(compares_placements(o));
    settle_length(o);
    EXPECT_EQ(o.steps, 40);
    EXPECT_FALSE(may_end_early(o));
  }
}

TEST(RunLength, zero_turns_a_rule_off) {
  RunCommand o = run_of({"linear", "gem"});
  o.precision = 0;
  settle_length(o);
  EXPECT_FALSE(may_end_early(o));
  EXPECT_EQ(o.steps, 40);
  o = run_of({"linear", "gem"});
  o.max_seconds = 0;
  settle_length(o);
  EXPECT_EQ(stop_rule(o).precision, 0.02);
  EXPECT_EQ(stop_rule(o).max_seconds, 0);
}

TEST(RunLength, the_router_decides_fewer_steps_beforehand) {
  RunCommand o = run_of({"linear", "gem"});
  o.routing = "router";
  settle_length(o);
  EXPECT_EQ(o.steps, 64);
}

TEST(RunLength, a_trace_bounds_the_steps_and_leaves_some_to_plan_on) {
  const auto steps = [](int in_trace, std::optional<int> planned, bool in_sample = false) {
    RunCommand o = run_of({"linear", "gem"});
    o.plan_steps = planned;
    o.in_sample = in_sample;
    settle_length(o);
    fit_length(o, 4, in_trace);
    return o.steps;
  };
  EXPECT_EQ(steps(4096, {}), 512);
  EXPECT_EQ(steps(1000, {}), 250) << "a quarter";
  EXPECT_EQ(steps(100, {}), 40);
  EXPECT_EQ(steps(20, {}), 10) << "half";
  EXPECT_EQ(steps(1, {}), 1) << "too short a trace is refused where it is read";
  EXPECT_EQ(steps(1000, 900), 100);
  EXPECT_EQ(steps(300, {}, true), 300);
  RunCommand stated = with_steps(run_of({"linear", "gem"}), 64);
  fit_length(stated, 4, 100);
  EXPECT_EQ(stated.steps, 64);
}

TEST(RunLength, one_rank_has_nothing_to_compare) {
  RunCommand o = run_of({"linear", "gem"});
  settle_length(o);
  fit_length(o, 1, 0);
  EXPECT_EQ(o.steps, 40);
  EXPECT_FALSE(may_end_early(o));
}

}  // namespace
}  // namespace gembench
