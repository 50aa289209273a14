#include "placement/speeds/profile_verdict.hpp"

#include <cmath>

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// A measurement of ranks that are so much slower, with readings that scatter by `noise`, and
/// become `slowing` times as long in the second half of the rounds.
struct Measured {
  Profile profile;
  ProfileSamples samples;
};
Measured measure(const std::vector<double>& slowdown, double noise, std::uint64_t seed,
                 const std::vector<double>& slowing = {}) {
  Measured m;
  Random random(seed);
  m.profile.ranks = static_cast<int>(slowdown.size());
  m.profile.load_points = {0, 8, 16, 32, 64, 128, 256, 512, 1024};
  m.profile.slots = 8;
  m.profile.model = "small f32";
  m.profile.clock = "wall";
  m.samples.ranks = m.profile.ranks;
  m.samples.points = m.profile.load_points.size();
  m.samples.rounds = 20;
  for (std::size_t rank = 0; rank < slowdown.size(); ++rank) {
    for (const auto load : m.profile.load_points) {
      std::vector<double> readings;
      for (std::size_t round = 0; round < m.samples.rounds; ++round) {
        const double late = round >= 10 && !slowing.empty() ? slowing[rank] : 1;
        const double scatter = 1 + noise * (random.uniform() + random.uniform() - 1);
        readings.push_back((1e-4 + 1e-5 * static_cast<double>(load)) * slowdown[rank] * late *
                           scatter);
      }
      m.samples.seconds.insert(m.samples.seconds.end(), readings.begin(), readings.end());
      m.profile.latency.push_back(median_of(readings).value);
      m.profile.spread.push_back(noise * m.profile.latency.back() / 2);
    }
  }
  m.profile.overhead.assign(slowdown.size(), 1e-5);
  m.profile.slowdown.assign(slowdown.size(), 1);
  return m;
}

std::vector<int> slow_ranks(const Measured& m) {
  std::vector<int> slow;
  const auto speeds = judge_speeds(m.profile, m.samples);
  for (std::size_t rank = 0; rank < speeds.size(); ++rank)
    if (speeds[rank].slow) slow.push_back(static_cast<int>(rank));
  return slow;
}

TEST(Speeds, against_peers_no_rank_is_its_own_measure) {
  const auto slower = slower_than_peers(measure({1, 1.2, 1, 1}, 0, 1).profile);
  EXPECT_NEAR(slower[0], 0, 1e-12);
  EXPECT_NEAR(slower[1], 0.2, 1e-12);
  const auto two = slower_than_peers(measure({1, 1.25}, 0, 1).profile);
  EXPECT_NEAR(two[0], -0.2, 1e-12);
  EXPECT_NEAR(two[1], 0.25, 1e-12);
  EXPECT_TRUE(std::isnan(slower_than_peers(measure({1}, 0, 1).profile)[0]));
}

TEST(Speeds, a_slow_rank_is_named_and_equal_ranks_are_not) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(slow_ranks(measure({1, 1, 1.1, 1}, 0.05, seed)), std::vector<int>{2});
    EXPECT_EQ(slow_ranks(measure({1, 1, 1, 1}, 0.05, seed)), std::vector<int>{});
    EXPECT_EQ(slow_ranks(measure({1.2, 1}, 0.05, seed)), std::vector<int>{0}) << "of two";
    EXPECT_EQ(slow_ranks(measure({1, 1.3, 1.3, 1}, 0.05, seed)), (std::vector<int>{1, 2}));
    EXPECT_EQ(slow_ranks(measure({1.5}, 0.05, seed)), std::vector<int>{}) << "alone";
  }
}

TEST(Speeds, say_how_much_slower) {
  const auto m = measure({1, 1, 1.1, 1}, 0.02, 1);
  const auto speeds = judge_speeds(m.profile, m.samples);
  EXPECT_NEAR(speeds[2].slower, 0.1, 0.02);
  EXPECT_GT(speeds[2].noise, 0);
  EXPECT_LT(speeds[2].noise, 0.02);
}

TEST(Speeds, what_noise_explains_is_not_named) {
  const auto loud = measure({1, 1, 1.1, 1}, 2, 1);
  EXPECT_GT(judge_speeds(loud.profile, loud.samples)[2].noise, 0.1);
  EXPECT_EQ(slow_ranks(loud), std::vector<int>{});
}

TEST(Speeds, a_rank_that_was_slow_for_a_while_only_is_not_slow) {
  // Slow by 20 % in the first half: 10 % in all.
  const auto m = measure({1, 1, 1.2, 1}, 0.02, 1, {1, 1, 1 / 1.2, 1});
  const auto speeds = judge_speeds(m.profile, m.samples);
  EXPECT_GT(speeds[2].slower, 0.05);
  EXPECT_FALSE(speeds[2].slow);
  EXPECT_FALSE(speeds[2].fail_slow);
}

TEST(Speeds, without_samples_the_interquartile_range_tells_the_noise) {
  auto m = measure({1, 1, 1.1, 1}, 0.02, 1);
  m.samples = {};
  EXPECT_EQ(slow_ranks(m), std::vector<int>{2});
  for (double& spread : m.profile.spread) spread = 1;
  EXPECT_EQ(slow_ranks(m), std::vector<int>{});
}

TEST(Speeds, a_rank_that_becomes_slow_is_fail_slow) {
  const auto m = measure({1, 1, 1, 1}, 0.05, 2, {1, 1.2, 1, 1});
  const auto speeds = judge_speeds(m.profile, m.samples);
  EXPECT_TRUE(speeds[1].fail_slow);
  EXPECT_NEAR(speeds[1].slowing, 0.2, 0.03);
  for (const std::size_t rank : {0U, 2U, 3U}) EXPECT_FALSE(speeds[rank].fail_slow) << rank;
  // All of them: the machine, not a rank.
  const auto all = measure({1, 1, 1, 1}, 0.05, 2, {1.2, 1.2, 1.2, 1.2});
  for (const auto& speed : judge_speeds(all.profile, all.samples)) EXPECT_FALSE(speed.fail_slow);
}

TEST(Drift, names_the_rank_that_changed) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const auto old = measure({1, 1, 1, 1.1}, 0.05, seed);
    const auto now = measure({1, 1.15, 1, 1}, 0.05, seed + 100);
    const auto drift = drift_between({old.profile, old.samples}, {now.profile, now.samples});
    EXPECT_FALSE(drift.shared);
    EXPECT_FALSE(drift.ranks[0].drifted);
    EXPECT_TRUE(drift.ranks[1].drifted);
    EXPECT_NEAR(drift.ranks[1].change, 0.15, 0.03);
    EXPECT_LE(drift.ranks[1].low, drift.ranks[1].change);
    EXPECT_GE(drift.ranks[1].high, drift.ranks[1].change);
    EXPECT_TRUE(drift.ranks[3].drifted);
    EXPECT_LT(drift.ranks[3].relative, -0.05);
  }
}

TEST(Drift, of_the_whole_machine_is_no_ranks) {
  const auto old = measure({1, 1.1}, 0.02, 1), now = measure({1.2, 1.32}, 0.02, 2);
  const auto drift = drift_between({old.profile, old.samples}, {now.profile, now.samples});
  EXPECT_TRUE(drift.shared);
  EXPECT_NEAR(drift.common, 0.2, 0.02);
  for (const auto& rank : drift.ranks) EXPECT_FALSE(rank.drifted);
}

TEST(Drift, of_two_ranks_the_one_that_changed_more_drifted) {
  const auto old = measure({1, 1}, 0.02, 1);
  const auto faster = measure({1, 0.8}, 0.02, 2);
  const auto drift = drift_between({old.profile, old.samples}, {faster.profile, faster.samples});
  EXPECT_FALSE(drift.ranks[0].drifted);
  EXPECT_TRUE(drift.ranks[1].drifted);
  EXPECT_LT(drift.ranks[1].relative, 0);
}

TEST(Drift, compares_at_other_load_points_and_smaller_loads) {
  auto old = measure({1, 1}, 0, 1);
  auto now = measure({1, 1.2}, 0, 1);
  old.samples = now.samples = {};
  for (auto* part : {&old.profile.load_points}) *part = {0, 10, 20, 40, 80, 160, 320, 640, 1200};
  for (int rank = 0; rank < 2; ++rank)
    for (std::size_t k = 0; k < 9; ++k)
      old.profile.latency[static_cast<std::size_t>(rank) * 9 + k] =
          1e-4 + 1e-5 * static_cast<double>(old.profile.load_points[k]);
  const auto drift = drift_between({old.profile, old.samples}, {now.profile, now.samples});
  EXPECT_NEAR(drift.ranks[0].change, 0, 1e-9) << "the line between load points is the curve";
  EXPECT_NEAR(drift.ranks[1].change, 0.2, 1e-9);
}

TEST(Drift, profiles_of_something_else_are_refused) {
  const auto old = measure({1, 1}, 0.02, 1);
  const auto against = [&](const std::function<void(Profile&)>& change) {
    auto now = old.profile;
    change(now);
    (void)drift_between({old.profile, old.samples}, {now, old.samples});
  };
  expect_refused("number of ranks", [&] { require_comparable(old.profile, equal_ranks(3, 9)); });
  expect_refused("the model", [&] { against([](Profile& p) { p.model = "other"; }); });
  expect_refused("the clock", [&] { against([](Profile& p) { p.clock = "cpu-time"; }); });
  expect_refused("experts a rank", [&] { against([](Profile& p) { p.slots = 4; }); });
  expect_refused("no load in common", [&] {
    against([](Profile& p) {
      for (auto& load_point : p.load_points) load_point *= 10000;
    });
  });
}

}  // namespace
}  // namespace gembench
