#include "harness/run/advice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "placement/base/random.hpp"
#include "placement/cost/objective.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

constexpr int kRanks = 4, kExperts = 16, kTokens = 256;

/// Top-1 choices of one layer, drawn with `weight(step, expert)`.
Trace drawn(int steps, std::uint64_t seed, const std::function<double(int, int)>& weight) {
  Trace trace;
  trace.steps = steps;
  trace.layers = trace.topk = 1;
  trace.experts = kExperts;
  trace.tokens.assign(static_cast<std::size_t>(steps) * kExperts, 0);
  Random random(seed);
  for (int step = 0; step < steps; ++step) {
    std::vector<double> below;
    double sum = 0;
    for (int e = 0; e < kExperts; ++e) below.push_back(sum += weight(step, e));
    for (int token = 0; token < kTokens; ++token) {
      const auto at = std::ranges::upper_bound(below, random.uniform() * sum) - below.begin();
      ++trace.loads(step, 0)[static_cast<std::size_t>(std::min<std::ptrdiff_t>(at, kExperts - 1))];
    }
  }
  return trace;
}

Advice asked(const Trace& trace, const Profile& profile = equal_ranks(kRanks, kTokens),
             double least_gain = 0.01) {
  const CostModel cost(profile);
  return advise({trace,
                 {"linear", "eplb", "gem"},
                 least_gain,
                 [&](const std::string& name, const Trace& steps, int) {
                   return plan_by_name(name, {steps, cost});
                 },
                 [&](const Placement& placement, const Trace& steps, int, std::optional<int>) {
                   return objective(steps, placement, cost);
                 }});
}

double skewed(int /*step*/, int expert) {
  return expert < 4 ? 3 : 1;  // all on one rank under linear
}

TEST(Advice, RecommendsWhatPaysOnStepsNotSeen) {
  const Advice advice = asked(drawn(120, 1, skewed));
  EXPECT_EQ(advice.word, AdviceWord::recommended) << advice.sentence;
  EXPECT_TRUE(advice.sentence.starts_with("recommended: ")) << advice.sentence;
  EXPECT_NE(advice.sentence.find(advice.best + " is predicted to take "), std::string::npos);
  EXPECT_NE(advice.sentence.find(" % less time in the MoE layers than linear"), std::string::npos);
  ASSERT_EQ(advice.placements.size(), 2U);
  EXPECT_EQ(advice.blocks, kAdviceBlocks);
  EXPECT_EQ(advice.block_steps, 1);
  EXPECT_EQ(advice.plans, kAdvicePlans);
  for (const auto& row : advice.placements) {
    EXPECT_EQ(row.better, kAdviceBlocks);
    EXPECT_NEAR(row.change.typical, -0.4, 0.1) << "12 of 24 parts against about 7";
  }
  ASSERT_EQ(advice.learning.points.size(), 3U);
  EXPECT_EQ(advice.learning.points[0].steps, 22);
  EXPECT_EQ(advice.learning.points[2].steps, 90);
  EXPECT_LT(advice.learning.points[2].change, -0.3);
}

TEST(Advice, DoesNotRecommendWhereLoadsAreEven) {
  const Advice advice =
      asked(drawn(400, 2, [](int, int) { return 1; }), equal_ranks(kRanks, kTokens), 0.05);
  EXPECT_EQ(advice.word, AdviceWord::not_recommended) << advice.sentence;
  EXPECT_TRUE(advice.sentence.starts_with("not recommended: nothing saves 5.0 %: at best "))
      << advice.sentence;
}

TEST(Advice, EvenLoadsOnUnequalRanksPay) {
  Profile profile = equal_ranks(kRanks, kTokens);
  stretch(profile, 2, 1.3);
  const Advice advice =
      asked(drawn(200, 3, [](int, int expert) { return 1 + expert % 3; }), profile);
  EXPECT_EQ(advice.word, AdviceWord::recommended) << advice.sentence;
  EXPECT_EQ(advice.best, "gem");
}

TEST(Advice, SaysWhatIsMissing) {
  EXPECT_NE(asked(drawn(1, 4, skewed)).sentence.find("one step"), std::string::npos);
  const Advice few = asked(drawn(kLeastAdviceSteps - 1, 4, skewed));
  EXPECT_EQ(few.word, AdviceWord::insufficient_evidence);
  EXPECT_NE(few.sentence.find("the recording has 11 steps; record at least 12"), std::string::npos)
      << few.sentence;
  EXPECT_TRUE(few.placements.empty());
}

/// Ten steps in a row belong to a request of its own taste, so that steps are no evidence each.
TEST(Advice, AFewRequestsOfDifferentTasteAreNoEvidence) {
  const Advice advice = asked(drawn(240, 5, [](int step, int expert) {
    return Random(fold(static_cast<std::uint64_t>(step / 10), static_cast<std::uint64_t>(expert)))
                       .uniform() < 0.2
               ? 6
               : 1;
  }));
  EXPECT_EQ(advice.word, AdviceWord::insufficient_evidence) << advice.sentence;
  EXPECT_NE(advice.sentence.find("; record "), std::string::npos) << advice.sentence;
}

/// One machine has one error of its profile, so that more blocks do not average it away.
TEST(Advice, ErrorsOfSpeedsWidenTheInterval) {
  const Trace trace = drawn(240, 6, skewed);
  const CostModel known(equal_ranks(kRanks, kTokens));
  const auto with = [&](double share, double least_gain = 0.01) {
    std::vector<CostModel> truths;
    for (int error = 0; error < 12; ++error) {
      Profile off = equal_ranks(kRanks, kTokens);
      stretch(off, error % kRanks, 1 + share * (1 + error / kRanks));
      truths.emplace_back(off);
    }
    return advise(
        {trace,
         {"linear", "gem"},
         least_gain,
         [&](const std::string& name, const Trace& steps, int) {
           return plan_by_name(name, {steps, known});
         },
         [&](const Placement& placement, const Trace& steps, int, std::optional<int> error) {
           return objective(steps, placement,
                            error ? truths[static_cast<std::size_t>(*error)] : known);
         },
         12});
  };
  const Difference sure = with(0).placements[0].change, unsure = with(0.1).placements[0].change;
  EXPECT_EQ(sure.typical, unsure.typical);
  EXPECT_GT(*unsure.high - *unsure.low, 2 * (*sure.high - *sure.low));
  // Where the limit is in the middle, what is missing is what makes the interval wide.
  const auto missing = [&](double share) { return with(share, -sure.typical).sentence; };
  EXPECT_NE(missing(0).find("; the loads vary too much"), std::string::npos) << missing(0);
  EXPECT_NE(missing(0.1).find("; the speeds are not known well enough"), std::string::npos)
      << missing(0.1);
}

TEST(Advice, NothingChangedIsNotRecommended) {
  const Trace trace = drawn(60, 7, skewed);
  const CostModel cost(equal_ranks(kRanks, kTokens));
  const auto place = [&](const std::string&, const Trace& steps, int) {
    return plan_by_name("gem", {steps, cost});
  };
  const auto seconds = [&](const Placement& placement, const Trace& steps, int,
                           std::optional<int>) { return objective(steps, placement, cost); };
  EXPECT_EQ(advise({trace, {"gem", "gem again"}, 0, place, seconds}).word,
            AdviceWord::not_recommended);
}

/// Under loads that nothing can improve, a gain may be announced in 2.5 % of cases at most.
TEST(Advice, ChanceIsNotRecommended) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed)
    wrong +=
        asked(drawn(48, 100 + seed, [](int, int) { return 1; }), equal_ranks(kRanks, kTokens), 0)
            .word == AdviceWord::recommended;
  EXPECT_LE(wrong, 4);
}

TEST(Advice, RestsOnRequestsWhereTheyAreKnown) {
  Trace trace = drawn(120, 1, skewed);
  trace.requests = 3;
  const Advice few = asked(trace);
  EXPECT_EQ(few.word, AdviceWord::insufficient_evidence);
  EXPECT_NE(few.sentence.find("has 3 requests"), std::string::npos) << few.sentence;
  trace.requests = 16;
  const Advice enough = asked(trace);
  EXPECT_EQ(enough.word, AdviceWord::recommended) << enough.sentence;
  EXPECT_EQ(enough.blocks, 8) << "of the later half";
}

TEST(Advice, NeedsSomethingToCompare) {
  const Trace trace = drawn(20, 1, skewed);
  testing::expect_refused("--strategies", [&] { (void)advise({trace, {"linear"}, 0.01, {}, {}}); });
}

LearningCurve learned(const Trace& trace, int judged) {
  const CostModel cost(equal_ranks(kRanks, kTokens));
  const Trace planned = slice(trace, 0, trace.steps - judged);
  return learning_curve({planned, slice(trace, planned.steps, judged), "gem", "eplb",
                         [&](const std::string& name, const Trace& steps) {
                           return plan_by_name(name, {steps, cost});
                         },
                         [&](const Placement& placement, const Trace& steps) {
                           return objective(steps, placement, cost);
                         }});
}

TEST(LearningCurve, IsFlatWhereAllStepsAreAlike) {
  const LearningCurve curve = learned(drawn(400, 5, skewed), 100);
  ASSERT_EQ(curve.points.size(), 3U);
  EXPECT_EQ(curve.points[1].steps, 150);
  EXPECT_EQ(curve.judged_steps, 100);
  EXPECT_TRUE(curve.finding.starts_with("the curve is flat from ")) << curve.finding;
}

/// Steps of a task use its own pair of experts; half of the recording has seen half of the pairs.
TEST(LearningCurve, RisesWhereTheOtherHalfHasOtherTasks) {
  const auto tasks = drawn(192, 6, [](int step, int expert) {
    const int task = step < 128 ? step / 16 : step % 8;
    return expert / 2 == task ? 20 : 1;
  });
  const LearningCurve curve = learned(tasks, 64);
  EXPECT_TRUE(curve.finding.starts_with("more recording would still help: ")) << curve.finding;
  EXPECT_LT(curve.points[2].change, curve.points[1].change);
  EXPECT_NE(to_text(curve).find("planned on 32 steps: "), std::string::npos) << to_text(curve);
}

TEST(LearningCurve, SaysWhenItCannotTell) {
  EXPECT_NE(learned(drawn(12, 7, skewed), 3).finding.find("3 steps to judge on do not say"),
            std::string::npos);
  testing::expect_refused("record at least 4", [] { (void)learned(drawn(6, 8, skewed), 3); });
  EXPECT_EQ(basis_of(703, 3), "independent requests: 703, of 3 tasks");
  EXPECT_EQ(basis_of(0, 1), "independent requests: not known, of 1 task");
}

}  // namespace
}  // namespace gembench
