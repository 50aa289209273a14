#include <cmath>

#include "placement/cost/expert_sums.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "placement/speeds/profile.hpp"
#include "tests/placement/support.hpp"

// Profiles that know what fewer active experts cost, and the cost model they make.
namespace gembench {
namespace {

using testing::expect_refused;

constexpr int kSlots = 8;
constexpr double kOverhead = 5e-6;

/// What an expert of n tokens costs alone: its weights, then tiles of 16.
double alone(double n) {
  return n <= 0 ? 0 : 20e-6 + 3e-6 * std::ceil(n / 16);
}
/// ... and among eight, which share caches and launches: less.
double among_all(double n) {
  return 0.6 * alone(n);
}

/// Even loads say among_all(), the active sweep goes from alone() to that.
Profile measured(const std::vector<double>& slowdown) {
  Profile profile;
  profile.ranks = static_cast<int>(slowdown.size());
  profile.load_points = {0, 8, 16, 32, 64, 128, 256, 512};
  profile.slots = kSlots;
  profile.active.loads = {8, 128};
  profile.active.active = {1, 2, 4, 8};
  for (const double slow : slowdown) {
    for (const auto load : profile.load_points)
      profile.latency.push_back(
          slow * (kOverhead + kSlots * among_all(static_cast<double>(load) / kSlots)));
    for (const auto load : profile.active.loads)
      for (const int experts : profile.active.active) {
        const double n = static_cast<double>(load) / experts;
        const double one = experts == kSlots ? among_all(n) : alone(n);
        profile.active.latency.push_back(slow * (kOverhead + experts * one));
      }
  }
  profile.spread.assign(profile.latency.size(), 0);
  profile.overhead.assign(slowdown.size(), 2e-6);
  profile.slowdown.assign(slowdown.size(), 1);
  return profile;
}

Profile without_sweep(Profile profile) {
  profile.active = {};
  return profile;
}

/// Sum over both sweeps of squared relative errors of rank 0, the 8-expert points counted once.
double squares(const CostModel& cost, const Profile& profile) {
  double sum = 0;
  const auto add = [&](double seconds, int experts, std::int64_t load) {
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(experts),
                                     static_cast<std::int32_t>(load / experts));
    sum += std::pow(cost.rank_seconds(0, tokens) / (seconds + 2e-6) - 1, 2);
  };
  for (std::size_t k = 1; k < profile.load_points.size(); ++k)
    add(profile.at(0, k), kSlots, profile.load_points[k]);
  for (std::size_t point = 0; point < profile.active.points(); ++point)
    add(profile.active.at(0, point), profile.active.active_at(point),
        profile.active.load_at(point));
  return sum;
}

TEST(ActiveSweep, makes_experts_predict_what_was_measured) {
  const auto profile = measured({1, 1.3});
  const CostModel blind(without_sweep(profile), CostKind::per_expert, kSlots);
  const CostModel cost(profile, CostKind::per_expert, kSlots);
  EXPECT_LT(squares(cost, profile), 0.8 * squares(blind, profile));
  // No other h does better at the tokens that were measured: a bit more or less is worse.
  const double best = squares(cost, profile);
  for (const double factor : {0.98, 1.02}) {
    auto scaled = profile;
    for (std::size_t k = 1; k < scaled.load_points.size(); ++k) scaled.latency[k] *= factor;
    const CostModel other(without_sweep(scaled), CostKind::per_expert, kSlots);
    EXPECT_LT(best, squares(other, profile));
  }
}

TEST(ActiveSweep, h_is_the_weighted_least_squares_of_both_sweeps) {
  const auto profile = measured({1});
  const CostModel cost(profile, CostKind::per_expert, kSlots);
  // 16 tokens an expert: 8 of 8 experts in the load points, and 8 of 8 in the sweep's 128 tokens.
  // 64 tokens: 8 experts in the load points, 2 in the sweep.
  const double o = kOverhead + 2e-6;
  const double all = kSlots * among_all(64) + o, two = 2 * alone(64) + o;
  const double h = (kSlots * (all - o) / (all * all) + 2 * (two - o) / (two * two)) /
                   (kSlots * kSlots / (all * all) + 4 / (two * two));
  EXPECT_NEAR(cost.expert_seconds(0, 64), h, 1e-15);
  EXPECT_GT(h, among_all(64));
  EXPECT_LT(h, alone(64));
  EXPECT_EQ(cost.expert_seconds(0, 0), 0);
}

TEST(ActiveSweep, leaves_the_tokens_model_and_old_profiles_as_they_are) {
  const auto profile = measured({1, 1.3});
  auto old = without_sweep(profile);
  const CostModel tokens(profile), blind(old);
  for (const std::int64_t load : {0, 3, 100, 5000})
    EXPECT_EQ(tokens.seconds(1, load), blind.seconds(1, load));
  old.slots = 0;
  const CostModel stated(old, CostKind::per_expert, kSlots);
  for (const std::int64_t each : {1, 5, 40, 900}) {
    const double expected = (stated.seconds(0, each * kSlots) - stated.seconds(0, 0)) / kSlots;
    EXPECT_EQ(stated.expert_seconds(0, each), expected);
  }
  EXPECT_EQ(CostModel(profile, CostKind::per_expert, 3).slots(), kSlots)
      << "the profile knows better";
}

TEST(ActiveSweep, fit_errors_are_of_both_sweeps) {
  const auto profile = measured({1});
  const auto tokens = CostModel(profile).fit_error();
  const auto experts = CostModel(profile, CostKind::per_expert, kSlots).fit_error();
  EXPECT_EQ(CostModel(without_sweep(profile)).fit_error().worst, 0);
  EXPECT_GT(tokens.worst, 1) << "one expert with 8 tokens is not eight with one";
  EXPECT_LT(experts.mean, tokens.mean);
  EXPECT_GT(experts.mean, 0);
}

TEST(ActiveSweep, goes_along_where_profiles_are_made_of_profiles) {
  const auto profile = measured({1, 3});
  const CostModel cost(profile, CostKind::per_expert, kSlots);
  const CostModel over = over_steps(cost, 10);
  EXPECT_NEAR(over.expert_seconds(0, 640), cost.expert_seconds(0, 64), 1e-15);
  const CostModel equal = equal_speeds(cost, 3);
  EXPECT_EQ(equal.ranks(), 3);
  const auto mean = measured({2});
  EXPECT_NEAR(equal.expert_seconds(2, 64),
              CostModel(mean, CostKind::per_expert, kSlots).expert_seconds(0, 64), 1e-9);
  auto twice = profile;
  stretch(twice, 1, 2);
  EXPECT_EQ(twice.active.at(0, 3), profile.active.at(0, 3));
  EXPECT_EQ(twice.active.at(1, 3), 2 * profile.active.at(1, 3));
  EXPECT_EQ(twice.at(1, 4), 2 * profile.at(1, 4));
  EXPECT_EQ(twice.overhead, profile.overhead);
  auto slowed = profile;
  apply_slowdown(slowed, std::vector<double>{1, 2}, 0);
  EXPECT_EQ(slowed.active.latency, twice.active.latency);
}

TEST(ActiveSweep, a_useless_reading_corrects_nothing) {
  auto profile = measured({1});
  profile.active.latency.assign(profile.active.latency.size(), 0);
  profile.latency.assign(profile.latency.size(), 0);
  const CostModel cost(profile, CostKind::per_expert, kSlots);
  EXPECT_EQ(cost.expert_seconds(0, 64), 0);
}

TEST(ActiveSweep, what_cannot_be_is_refused) {
  struct Case {
    const char* part;
    std::function<void(Profile&)> spoil;
  };
  const Case cases[] = {
      {"-1 slots", [](Profile& p) { p.slots = -1; }},
      {"8 active experts in 7 slots", [](Profile& p) { p.slots = 7; }},
      {"loads do not ascend from 1",
       [](Profile& p) {
         p.active.loads = {0, 8};
       }},
      {"experts do not ascend from 1",
       [](Profile& p) {
         p.active.active = {1, 2, 2, 8};
       }},
      {"lacks loads or experts", [](Profile& p) { p.active.active.clear(); }},
      {"values of active latency", [](Profile& p) { p.active.latency.pop_back(); }},
      {"active latency holds nan", [](Profile& p) { p.active.latency[0] = NAN; }},
  };
  for (const auto& [part, spoil] : cases) {
    auto profile = measured({1, 1});
    spoil(profile);
    expect_refused(part, [&] { validate(profile); });
  }
}

}  // namespace
}  // namespace gembench
