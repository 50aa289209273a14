#include <cmath>
#include <limits>

#include "placement/speeds/profile.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

Profile two_ranks() {
  Profile profile;
  profile.ranks = 2;
  profile.load_points = {0, 10, 30};
  profile.latency = {1, 2, 6, 2, 4, 3};
  profile.spread.assign(6, 0);
  profile.overhead = {0.5, 0};
  profile.slowdown = {1, 2};
  return profile;
}

TEST(CostModel, InterpolatesAndContinues) {
  const CostModel cost(two_ranks());
  EXPECT_DOUBLE_EQ(cost.seconds(0, 0), 1.5);
  EXPECT_DOUBLE_EQ(cost.seconds(0, 5), 2.0);
  EXPECT_DOUBLE_EQ(cost.seconds(0, 10), 2.5);
  EXPECT_DOUBLE_EQ(cost.seconds(0, 11), 2.7);
  EXPECT_DOUBLE_EQ(cost.seconds(0, 30), 6.5);
  EXPECT_DOUBLE_EQ(cost.seconds(0, 40), 8.5);
  EXPECT_DOUBLE_EQ(cost.mean_slope(0), 5.0 / 30);
}

TEST(CostModel, ANoisyLastSegmentNeverPredictsNegativeTimes) {
  const CostModel cost(two_ranks());
  EXPECT_DOUBLE_EQ(cost.seconds(1, 20), 3.5);
  EXPECT_DOUBLE_EQ(cost.seconds(1, 1000000), 3.0);
}

TEST(CostModel, EqualRanksCostOneSecondPerToken) {
  const CostModel cost(equal_ranks(3, 100));
  for (int rank = 0; rank < 3; ++rank)
    for (std::int64_t tokens : {0, 1, 99, 100, 12345})
      EXPECT_DOUBLE_EQ(cost.seconds(rank, tokens), static_cast<double>(tokens));
  expect_refused("at least 1", [] { (void)equal_ranks(0, 5); });
  expect_refused("at least 1", [] { (void)equal_ranks(2, 0); });
}

TEST(CostModel, ExpertsCostWhatAnEvenShareOfTheProfileDid) {
  const CostModel cost(two_ranks(), CostKind::per_expert, 2);
  EXPECT_EQ(cost.kind(), CostKind::per_expert);
  EXPECT_DOUBLE_EQ(cost.expert_seconds(0, 0), 0);
  EXPECT_DOUBLE_EQ(cost.expert_seconds(0, 5), 0.5);   // 10 tokens on two experts took 1 s more
  EXPECT_DOUBLE_EQ(cost.expert_seconds(0, 15), 2.5);  // 30 tokens 5 s more
  EXPECT_DOUBLE_EQ(cost.expert_seconds(0, 10), 1.5);
  EXPECT_DOUBLE_EQ(cost.expert_seconds(1, 1000), 0.5);  // a falling end is not continued
  const std::vector<std::int32_t> tokens = {5, 0, 15};
  EXPECT_DOUBLE_EQ(cost.rank_seconds(0, tokens), 1.5 + 0.5 + 2.5);
  const std::vector<std::int32_t> even = {5, 5};
  EXPECT_DOUBLE_EQ(cost.rank_seconds(0, even), 2.5) << "as measured";
  EXPECT_DOUBLE_EQ(CostModel(two_ranks()).rank_seconds(0, tokens), 4.5) << "20 tokens";
  auto cheaper = two_ranks();
  cheaper.latency[4] = 1;  // rank 1: 10 tokens take less than none
  EXPECT_DOUBLE_EQ(CostModel(cheaper, CostKind::per_expert, 2).expert_seconds(1, 5), 0);
  expect_refused("0 experts per rank",
                 [] { (void)CostModel(two_ranks(), CostKind::per_expert, 0); });
}

TEST(CostModel, FitErrorSaysWhatTheProfileLosesInTheModel) {
  EXPECT_DOUBLE_EQ(CostModel(two_ranks()).fit_error().worst, 0);
  EXPECT_NEAR(CostModel(two_ranks(), CostKind::per_expert, 2).fit_error().worst, 0, 1e-12);
  // 10 tokens on 4 experts are 3, 3, 2, 2; the kink at 10 is lost between them. Rank 0: 1 s at
  // least, 2.5 at 10; h(2.5) = 0.25 lies where the slope grows from 0.1 to 0.2 a token.
  const auto error = CostModel(two_ranks(), CostKind::per_expert, 4).fit_error();
  EXPECT_GT(error.worst, 0);
  EXPECT_LT(error.worst, 0.1);
  EXPECT_LE(error.mean, error.worst);
}

TEST(Profile, RefusesWhatIsNoMeasurement) {
  struct Case {
    const char* part;
    std::function<void(Profile&)> spoil;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Case cases[] = {
      {"0 ranks", [](Profile& p) { p.ranks = 0; }},
      {"1 load points", [](Profile& p) { p.load_points = {0}; }},
      {"first load point is 1", [](Profile& p) { p.load_points[0] = 1; }},
      {"do not ascend: 10 follows 10", [](Profile& p) { p.load_points[2] = 10; }},
      {"values of latency", [](Profile& p) { p.latency.pop_back(); }},
      {"values of spread", [](Profile& p) { p.spread.clear(); }},
      {"values of overhead", [](Profile& p) { p.overhead.push_back(0); }},
      {"values of slowdown", [](Profile& p) { p.slowdown.clear(); }},
      {"latency holds nan", [=](Profile& p) { p.latency[3] = nan; }},
      {"latency holds inf", [](Profile& p) { p.latency[3] = HUGE_VAL; }},
      {"latency holds -1", [](Profile& p) { p.latency[3] = -1; }},
      {"overhead holds nan", [=](Profile& p) { p.overhead[0] = nan; }},
      {"spread holds -2", [](Profile& p) { p.spread[5] = -2; }},
      {"impossible size", [](Profile& p) { p.ranks = 2000000000; }},
  };
  for (const auto& [part, spoil] : cases) {
    auto profile = two_ranks();
    spoil(profile);
    expect_refused(part, [&] { validate(profile); });
    expect_refused(part, [&] { (void)CostModel(profile); });
  }
}

}  // namespace
}  // namespace gembench
