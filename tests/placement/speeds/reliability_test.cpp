#include "placement/speeds/reliability.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

struct Measured {
  Profile profile;
  ProfileSamples samples;
};

/// Ranks that are exp(logs) times as slow, with readings that scatter by `noise` (log).
Measured measure(const std::vector<double>& logs, double noise, Random& random,
                 std::size_t rounds = 24) {
  Measured m;
  m.profile = equal_ranks(static_cast<int>(logs.size()), 1024);
  m.profile.load_points = {0, 64, 256, 1024};
  m.profile.latency.clear();
  m.profile.spread.assign(4 * logs.size(), 0);
  m.samples = {m.profile.ranks, rounds > 0 ? 4U : 0U, rounds, {}};
  for (const double log : logs) {
    for (const auto load : m.profile.load_points) {
      const double seconds = (1e-5 + 1e-7 * static_cast<double>(load)) * std::exp(log);
      std::vector<double> readings;
      for (std::size_t round = 0; round < rounds; ++round)
        readings.push_back(seconds * std::exp(noise * normal(random)));
      m.profile.latency.push_back(readings.empty() ? seconds : median_of(readings).value);
      m.samples.seconds.insert(m.samples.seconds.end(), readings.begin(), readings.end());
    }
  }
  return m;
}

std::vector<double> drawn(std::size_t ranks, double deviation, Random& random) {
  std::vector<double> logs;
  for (std::size_t rank = 0; rank < ranks; ++rank) logs.push_back(deviation * normal(random));
  return logs;
}

std::vector<double> sum(std::vector<double> one, const std::vector<double>& other) {
  for (std::size_t i = 0; i < one.size(); ++i) one[i] += other[i];
  return one;
}

std::vector<int> in_order(int ranks) {
  return same_ranks({}, {}, ranks);
}

double rho_of(const Measured& now, const std::vector<Measured>& before) {
  std::vector<OlderProfile> older;
  for (const Measured& one : before) older.push_back({one.profile, in_order(one.profile.ranks)});
  return reliability({now.profile, now.samples}, older).rho;
}

TEST(Reliability, the_share_that_lasts_is_recovered_from_several_profiles) {
  // Lasting 3 %; what passes from day to day makes the true share 0.9, 0.5, 0.1.
  for (const double share : {0.9, 0.5, 0.1}) {
    Random random(static_cast<std::uint64_t>(100 * share));
    const double lasting = 0.03, passing = lasting * std::sqrt(1 / share - 1);
    double mean = 0;
    constexpr int kDraws = 20;
    for (int draw = 0; draw < kDraws; ++draw) {
      const auto logs = drawn(128, lasting, random);
      std::vector<Measured> days;
      for (int day = 0; day < 6; ++day)
        days.push_back(measure(sum(logs, drawn(128, passing, random)), 0, random, 0));
      mean += rho_of(days[0], {days.begin() + 1, days.end()}) / kDraws;
    }
    EXPECT_NEAR(mean, share, 0.02);
  }
}

TEST(Reliability, of_few_ranks_it_is_low_where_nothing_lasts_and_near_1_where_all_does) {
  Random random(8);
  double nothing = 0, all = 0;
  constexpr int kDraws = 200;
  for (int draw = 0; draw < kDraws; ++draw) {
    const auto day = [&] { return measure(drawn(8, 0.03, random), 0, random, 0); };
    nothing += rho_of(day(), {day()}) / kDraws;
    const auto logs = drawn(8, 0.03, random);
    const auto other = [&] { return measure(sum(logs, drawn(8, 0.001, random)), 0, random, 0); };
    all += rho_of(other(), {other()}) / kDraws;
  }
  EXPECT_LT(nothing, 0.2);
  EXPECT_GT(all, 0.99);
}

TEST(Reliability, one_profile_knows_the_noise_of_its_rounds) {
  // A median of 3 normal readings has 0.4487 of their variance, one of 24 has 1.57 / 24: blocks see
  // a little less noise than there is. 8 blocks, 3 load points.
  constexpr double kNoise = 0.2, kLasting = 0.03;
  constexpr std::size_t kRanks = 128;
  const double seen = 0.4487 * kNoise * kNoise / 8 / 3, passing = 1.57 * kNoise * kNoise / 24 / 3;
  Random random(1);
  double mean = 0, found = 0;
  constexpr int kDraws = 10;
  for (int draw = 0; draw < kDraws; ++draw) {
    const Measured m = measure(drawn(kRanks, kLasting, random), kNoise, random);
    const Reliability one = reliability({m.profile, m.samples}, {});
    EXPECT_EQ(one.profiles, 1);
    mean += one.rho / kDraws;
    found += one.passing / kDraws;
  }
  EXPECT_NEAR(found / seen, 1, 0.05);
  EXPECT_NEAR(mean, kLasting * kLasting / (kLasting * kLasting + passing), 0.06);
  const Measured exact = measure({0, 0.1}, 0, random);
  EXPECT_EQ(rho_of(exact, {}), 1);
  const Measured noisy = measure({0, 0, 0, 0, 0, 0, 0, 0}, 0.2, random);
  EXPECT_LT(rho_of(noisy, {}), 0.6);
}

TEST(Reliability, what_all_ranks_share_is_left_out) {
  Random random(2);
  const auto logs = drawn(8, 0.05, random);
  auto slower = logs;
  for (double& log : slower) log += 0.7;
  const double rho = rho_of(measure(logs, 0, random, 0), {measure(slower, 0, random, 0)});
  EXPECT_GT(rho, 1 - 1e-9);
}

TEST(Reliability, few_rounds_missing_readings_and_one_rank_say_nothing) {
  Random random(3);
  EXPECT_EQ(rho_of(measure({0, 0.1}, 0.5, random, 5), {}), 1);
  EXPECT_EQ(rho_of(measure({0}, 0.5, random), {}), 1);
  Measured m = measure({0, 0.1}, 0.5, random);
  std::ranges::fill(m.samples.seconds, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(rho_of(m, {}), 1);
  Measured idle = measure({0, 0.1}, 0.5, random);
  std::ranges::fill(idle.profile.latency, 0.0);
  EXPECT_EQ(shrink(idle.profile, 0).largest, 0);
  EXPECT_LE(rho_of(idle, {}), 1);
}

TEST(Reliability, ranks_are_the_same_gpu_where_both_name_one) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(same_ranks({"GPU-b", "GPU-a"}, {"GPU-a", "GPU-b"}, 2), (std::vector<int>{1, 0}));
  EXPECT_EQ(same_ranks({"1", "0"}, {"0", "1"}, 2), (std::vector<int>{0, 1}));       // CPUs
  EXPECT_EQ(same_ranks(Names{}, {"GPU-a", "GPU-b"}, 2), (std::vector<int>{0, 1}));  // unknown
  EXPECT_EQ(same_ranks({"GPU-a", "GPU-a"}, {"GPU-b", "GPU-a"}, 2), (std::vector<int>{0, 1}));
  expect_refused("GPU-c", [] { (void)same_ranks({"GPU-b", "GPU-a"}, {"GPU-a", "GPU-c"}, 2); });
  Random random(4);
  const Measured now = measure({0, 0.1, 0.3}, 0, random, 0),
                 before = measure({0.3, 0, 0.1}, 0, random, 0);
  const std::vector<OlderProfile> older{{before.profile, {1, 2, 0}}};
  EXPECT_GT(reliability({now.profile, now.samples}, older).rho, 1 - 1e-9);
  EXPECT_LT(rho_of(now, {before}), 0.1);
}

TEST(Shrinking, rho_1_keeps_and_half_halves_and_0_equals) {
  const Profile profile = testing::uneven_profile(5, 7);
  const Shrunk same = shrink(profile, 1), half = shrink(profile, 0.5), equal = shrink(profile, 0);
  EXPECT_EQ(same.profile.latency, profile.latency);
  EXPECT_EQ(same.largest, 0);
  const auto logs = log_slowdowns(profile), halved = log_slowdowns(half.profile),
             none = log_slowdowns(equal.profile);
  double largest = 0;
  for (std::size_t rank = 0; rank < logs.size(); ++rank) {
    EXPECT_NEAR(halved[rank], logs[rank] / 2, 1e-12);
    EXPECT_NEAR(none[rank], 0, 1e-12);
    largest = std::max(largest, std::abs(std::exp(-logs[rank] / 2) - 1));
    EXPECT_EQ(half.profile.overhead[rank], profile.overhead[rank]);
  }
  EXPECT_NEAR(half.largest, largest, 1e-12);
  EXPECT_NEAR(std::accumulate(logs.begin(), logs.end(), 0.0), 0, 1e-12);
  // Ranks that differ by a factor become equal, and keep their geometric mean.
  Random random(5);
  const Profile even = shrink(measure({-0.1, 0.1}, 0, random, 0).profile, 0).profile;
  for (std::size_t point = 0; point < 4; ++point) {
    EXPECT_NEAR(even.at(0, point) / even.at(1, point), 1, 1e-12);
    EXPECT_NEAR(even.at(0, point), 1e-5 + 1e-7 * static_cast<double>(even.load_points[point]),
                1e-15);
  }
  expect_refused("0 to 1", [&] { (void)shrink(profile, 1.5); });
  expect_refused("0 to 1", [&] { (void)shrink(profile, std::nan("")); });
}

TEST(Reliability, sizes_that_disagree_are_refused) {
  Random random(6);
  const Measured good = measure({0, 0.1}, 0.1, random);
  const auto refuse = [&](const std::string& part, const std::function<void(Measured&)>& damage) {
    Measured bad = good;
    damage(bad);
    expect_refused(part, [&] { (void)rho_of(bad, {}); });
  };
  refuse("samples", [](Measured& m) { m.samples.seconds.pop_back(); });
  refuse("samples", [](Measured& m) { m.samples.ranks = 3; });
  refuse("samples", [](Measured& m) { m.samples.rounds = std::size_t{1} << 62; });
  refuse("samples", [](Measured& m) { m.samples.points = 1, m.samples.seconds.resize(48); });
  refuse("latency", [](Measured& m) { m.profile.latency.pop_back(); });
  const auto refuse_older = [&](const std::string& part, const std::vector<int>& ranks,
                                const std::function<void(Profile&)>& damage) {
    Profile bad = good.profile;
    damage(bad);
    const std::vector<OlderProfile> older{{bad, ranks}};
    expect_refused(part, [&] { (void)reliability({good.profile, good.samples}, older); });
  };
  refuse_older("each once", {0, 0}, [](Profile&) {});
  refuse_older("each once", {0, 1, 2}, [](Profile&) {});
  refuse_older("each once", {0, -1}, [](Profile&) {});
  refuse_older("latency", {0, 1}, [](Profile& p) { p.latency.clear(); });
  refuse_older("the model", {0, 1}, [](Profile& p) { p.model = "other"; });
  refuse_older("emulated slowdown of rank 1", {0, 1}, [](Profile& p) { p.slowdown[1] = 2; });
  refuse_older("no load in common", {0, 1}, [](Profile& p) { p.load_points = {0, 1, 2, 3}; });
}

}  // namespace
}  // namespace gembench
