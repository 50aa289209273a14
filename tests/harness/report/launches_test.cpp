#include "harness/report/launches.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "harness/report/launches_report.hpp"

namespace gembench {
namespace {

Difference found(double log_ratio, std::optional<double> error = {}) {
  Difference d;
  d.typical = d.mean = std::expm1(log_ratio);
  d.error = error;
  return d;
}

TEST(PooledDifference, is_students_over_launches_that_differ) {
  const std::vector<Difference> launches{found(-0.10, 0.01), found(-0.08, 0.01), found(-0.04, 0.01),
                                         found(-0.02, 0.01)};
  const PooledDifference d = pooled_difference(launches, 1);
  const double deviation = std::sqrt(0.004 / 3);  // of 4, 2, 2 and 4 points from -6
  const double half = 3.182446 * deviation / 2;
  EXPECT_EQ(d.launches, 4);
  EXPECT_NEAR(d.between, deviation, 1e-12);
  EXPECT_NEAR(*d.within, 0.01, 1e-12);
  EXPECT_NEAR(d.typical, std::expm1(-0.06), 1e-12);
  EXPECT_NEAR(*d.low, std::expm1(-0.06 - half), 1e-6);
  EXPECT_NEAR(*d.high, std::expm1(-0.06 + half), 1e-6);
  EXPECT_GT(*pooled_difference(launches, 3).high, *d.high) << "three hold together";
}

TEST(PooledDifference, launches_that_agree_by_chance_keep_the_noise_within_them) {
  const std::vector<Difference> launches(3, found(-0.1, 0.02));
  const PooledDifference d = pooled_difference(launches, 1);
  EXPECT_NEAR(d.between, 0, 1e-15);
  EXPECT_NEAR(std::log1p(*d.high) - std::log1p(*d.low), 2 * 4.302653 * 0.02 / std::sqrt(3), 1e-6);
}

TEST(PooledDifference, launches_too_short_for_an_interval_are_still_samples) {
  const std::vector<Difference> launches{found(-0.1), found(-0.05), found(-0.03, 0.5)};
  const PooledDifference d = pooled_difference(launches, 1);
  EXPECT_FALSE(d.within);
  ASSERT_TRUE(d.low);
  EXPECT_LT(*d.high - *d.low, 0.3) << "of which one knows its noise does not speak for all";
}

TEST(PooledDifference, two_launches_have_no_interval) {
  for (const std::size_t n : {1u, 2u}) {
    const PooledDifference d = pooled_difference(std::vector<Difference>(n, found(-0.1, 0.001)), 1);
    EXPECT_NEAR(d.typical, std::expm1(-0.1), 1e-12);
    EXPECT_FALSE(d.low || d.high);
  }
  EXPECT_FALSE(pooled_difference(std::vector<Difference>(4, found(NAN)), 1).low);
}

LaunchRun launch(const std::string& path, std::uint64_t seed = 1) {
  LaunchRun one;
  one.path = path;
  one.completed = true;
  one.info.shape.ranks = 2;
  one.info.labels = {"linear", "gem"};
  one.info.clock = "wall";
  one.info.seed = seed;
  one.info.config =
      R"({"tokens": 64, "routing": "synthetic", "seed": )" + std::to_string(seed) + "}";
  one.info.facts = {{"program", "p"}, {"device", "cpu"}, {"trace_digest", "1"}, {"started", path}};
  one.comparison.placements.resize(2);
  one.comparison.placements[0].label = "linear";
  one.comparison.placements[1].label = "gem";
  one.comparison.pairs = {{1, 0, found(-0.1, 0.01)}};
  return one;
}

TEST(Pool, launches_of_one_configuration_whatever_their_seeds_and_nodes) {
  auto second = launch("b", 2);
  second.info.facts["trace_digest"] = "2";  // another seed draws other loads
  second.info.rank_facts["host"] = {"n3", "n4"};
  const Pooling pooling = pool({launch("a"), second, launch("c")});
  ASSERT_EQ(pooling.groups.size(), 1u);
  EXPECT_EQ(pooling.groups[0].paths, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(pooling.groups[0].seeds, (std::vector<std::uint64_t>{1, 2, 1}));
  ASSERT_EQ(pooling.groups[0].pairs.size(), 1u);
  EXPECT_EQ(pooling.groups[0].pairs[0].placement, "gem");
  EXPECT_EQ(pooling.groups[0].pairs[0].reference, "linear");
  EXPECT_TRUE(pooling.groups[0].pairs[0].step_time.low);
  EXPECT_TRUE(pooling.not_pooled.empty());
}

TEST(Pool, launches_that_compute_experts_in_other_ways_are_pooled_and_it_is_said) {
  auto first = launch("a"), second = launch("b"), third = launch("c");
  first.info.rank_facts["expert_products"] = {"cublas", "cublas"};
  second.info.rank_facts = first.info.rank_facts;
  EXPECT_TRUE(pool({first, second, third}).groups.at(0).notes.empty()) << "c does not say";
  third.info.rank_facts["expert_products"] = {"cutlass", "cutlass"};
  const Pooling pooling = pool({first, second, third});
  EXPECT_EQ(pooling.groups.at(0).notes,
            std::vector<std::string>{"expert products of a and c differ (cublas and cutlass)"});
}

TEST(Pool, another_configuration_is_named_by_what_differs_first) {
  const std::pair<const char*, std::function<void(LaunchRun&)>> differences[] = {
      {"number of ranks", [](LaunchRun& r) { r.info.shape.ranks = 4; }},
      {"--tokens", [](LaunchRun& r) { r.info.config.replace(11, 2, "32"); }},
      {"placements", [](LaunchRun& r) { r.info.labels[1] = "eplb"; }},
      {"program", [](LaunchRun& r) { r.info.facts["program"] += "2"; }},
      {"device", [](LaunchRun& r) { r.info.facts.erase("device"); }},
      {"clock", [](LaunchRun& r) { r.info.clock = "cpu-time"; }},
      {"loads", [](LaunchRun& r) { r.info.facts["trace_digest"] = "2"; }},
  };
  for (const auto& [said, change] : differences) {
    LaunchRun other = launch("b");
    change(other);
    const Pooling pooling = pool({launch("a"), other});
    EXPECT_TRUE(pooling.groups.empty()) << said;
    ASSERT_EQ(pooling.not_pooled.size(), 1u) << said;
    EXPECT_NE(pooling.not_pooled[0].find(said), std::string::npos) << pooling.not_pooled[0];
    EXPECT_NE(pooling.not_pooled[0].find("a and b"), std::string::npos);
  }
}

TEST(Pool, a_trace_must_hold_the_same_loads_whatever_the_seed) {
  auto a = launch("a"), b = launch("b", 2);
  for (auto* one : {&a, &b}) one->info.config = R"({"routing": "trace"})";
  EXPECT_FALSE(why_not_pooled(a, b));
  b.info.facts["trace_digest"] = "2";
  ASSERT_TRUE(why_not_pooled(a, b));
  EXPECT_NE(why_not_pooled(a, b)->find("loads"), std::string::npos);
}

TEST(Pool, times_of_wrong_outputs_are_left_out) {
  auto wrong = launch("b");
  wrong.correct = false;
  const Pooling pooling = pool({launch("a"), wrong, launch("c")});
  ASSERT_EQ(pooling.groups.size(), 1u);
  EXPECT_EQ(pooling.groups[0].paths, (std::vector<std::string>{"a", "c"}));
  ASSERT_EQ(pooling.not_pooled.size(), 1u);
  EXPECT_NE(pooling.not_pooled[0].find("b is not pooled: its outputs are wrong"),
            std::string::npos);
}

TEST(Pool, launches_too_few_for_an_interval_do_not_speak_of_no_difference) {
  EXPECT_EQ(pooled_verdict(pool({launch("a"), launch("b")}).groups.at(0)),
            "over 2 launches: too short to tell gem and linear apart: it takes 3 launches");
  auto slower = launch("c"), as_fast = launch("d");
  slower.comparison.pairs[0].step_time = found(0.1, 0.01);
  as_fast.comparison.pairs[0].step_time = found(0, 0.01);
  EXPECT_EQ(pooled_verdict(pool({launch("a"), slower, as_fast}).groups.at(0)),
            "over 3 launches: no difference was found between gem and linear: more launches would "
            "narrow the interval");
}

TEST(Pool, gains_on_the_steps_that_were_planned_on_are_doubted) {
  const auto said = [](const char* config, const char* files) {
    auto a = launch("a"), b = launch("b");
    for (auto* one : {&a, &b}) {
      one->info.config = config;
      one->info.facts["placement_files"] = files;
    }
    return pooled_verdict(pool({a, b}).groups.at(0));
  };
  const std::string doubt = "planned on the measured steps (in-sample), ";
  EXPECT_TRUE(said(R"({"in-sample": true})", "").starts_with(doubt));
  EXPECT_TRUE(
      said("{}", "p.json was planned on 4 of these 8 steps (IN-SAMPLE)").starts_with(doubt));
  for (const char* config : {R"({"in-sample": false})", "{}"}) {
    EXPECT_TRUE(said(config, "p.json was planned on none of these steps").starts_with("over 2 "))
        << config;
  }
}

TEST(Pool, copies_and_unfinished_files_are_no_launches) {
  auto copy = launch("b");
  copy.info.facts["started"] = "a";
  auto partial = launch("c.partial");
  partial.completed = false;
  const Pooling pooling = pool({launch("a"), copy, partial, launch("d")});
  ASSERT_EQ(pooling.groups.size(), 1u);
  EXPECT_EQ(pooling.groups[0].paths, (std::vector<std::string>{"a", "d"}));
  ASSERT_EQ(pooling.not_pooled.size(), 2u);
  EXPECT_NE(pooling.not_pooled[0].find("b is not pooled: it holds the same launch as a"),
            std::string::npos);
  EXPECT_NE(pooling.not_pooled[1].find("c.partial is not complete"), std::string::npos);
}

TEST(Pool, each_configuration_by_itself) {
  auto c = launch("c"), d = launch("d");
  for (auto* one : {&c, &d}) one->info.clock = "cpu-time";
  const Pooling pooling = pool({launch("a"), c, launch("b"), d});
  ASSERT_EQ(pooling.groups.size(), 2u);
  EXPECT_EQ(pooling.groups[1].paths, (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(pooling.not_pooled.size(), 1u);
}

TEST(Pool, one_file_or_one_rank_says_nothing) {
  EXPECT_TRUE(pool({launch("a")}).groups.empty());
  EXPECT_TRUE(pool({launch("a")}).not_pooled.empty());
  auto a = launch("a"), b = launch("b");
  for (auto* one : {&a, &b}) one->info.shape.ranks = 1;
  EXPECT_TRUE(pool({a, b}).groups.empty());
  EXPECT_TRUE(pool({a, b}).not_pooled.empty());
}

}  // namespace
}  // namespace gembench
