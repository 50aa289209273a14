#include "moe_layer/profiler/load_points.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "moe_layer/profiler/profiler.hpp"
#include "placement/base/random.hpp"

namespace gembench {
namespace {

using Curve = std::function<double(double)>;
constexpr std::int64_t kUnit = 8;

std::vector<std::int64_t> powers(std::int64_t max) {
  std::vector<std::int64_t> load_points{0};
  for (std::int64_t each = 1; each <= max; each *= 2) load_points.push_back(each * kUnit);
  return load_points;
}

/// Measures `curve` wherever the search asks, without noise; returns how many readings it took.
int run(LoadPointSearch& search, const Curve& curve) {
  int readings = 0;
  while (!search.probes().empty()) {
    std::vector<double> missed;
    for (const Probe& probe : search.probes()) {
      ++readings;
      EXPECT_LT(probe.low, probe.at);
      EXPECT_LT(probe.at, probe.high);
      EXPECT_EQ(probe.at % kUnit, 0);
      const double low = curve(static_cast<double>(probe.low)),
                   at = curve(static_cast<double>(probe.at)),
                   high = curve(static_cast<double>(probe.high));
      missed.push_back(missed_by(probe, {{&low, 1}, {&at, 1}, {&high, 1}}));
    }
    search.judge(missed);
  }
  return readings;
}

/// Largest relative error of the lines through the load points, over all loads in whole units.
double worst(const std::vector<std::int64_t>& load_points, const Curve& curve,
             std::int64_t from = 1) {
  double most = 0;
  for (std::size_t k = 1; k < load_points.size(); ++k)
    for (std::int64_t load = std::max(from, load_points[k - 1]); load <= load_points[k];
         load += kUnit) {
      const auto low = static_cast<double>(load_points[k - 1]),
                 high = static_cast<double>(load_points[k]);
      const double share = (static_cast<double>(load) - low) / (high - low);
      const double line = curve(low) + share * (curve(high) - curve(low));
      most = std::max(most, std::abs(line / curve(static_cast<double>(load)) - 1));
    }
  return most;
}

TEST(LoadPointSearch, a_line_needs_no_more_load_points) {
  const auto coarse = powers(512);
  LoadPointSearch search(coarse, kUnit);
  EXPECT_LE(run(search, [](double x) { return 1e-5 + 1e-7 * x; }), 10);
  EXPECT_EQ(search.load_points(), coarse);
}

TEST(LoadPointSearch, finds_a_kink_between_coarse_load_points) {
  const Curve kink = [](double x) { return 1e-3 + 1e-6 * x + 4e-6 * std::max(0.0, x - 2900); };
  LoadPointSearch search(powers(512), kUnit);
  run(search, kink);
  EXPECT_GT(worst(powers(512), kink), 0.1);
  // An interval is closed by its one probe, so a kink may be 2.6 times the tolerance off.
  EXPECT_LT(worst(search.load_points(), kink), 2.6 * LoadPointRules{}.tolerance);
}

TEST(LoadPointSearch, finds_a_step_to_within_its_narrowest_interval) {
  const double at = 1500;
  const Curve step = [=](double x) { return 1e-3 + 1e-7 * x + (x > at ? 1e-3 : 0); };
  LoadPointSearch search(powers(512), kUnit);
  run(search, step);
  const auto& load_points = search.load_points();
  const auto above = std::upper_bound(load_points.begin(), load_points.end(), std::int64_t{1500});
  EXPECT_LE(*above - *(above - 1), static_cast<std::int64_t>(*above / 32 + kUnit));
  EXPECT_LE(load_points.size(), powers(512).size() + 12) << "and nothing far from it";
}

TEST(LoadPointSearch, sees_tiles_although_every_coarse_load_point_is_a_multiple_of_them) {
  // 128 tokens of each of 8 experts a tile: between powers of two no coarse load point shows one.
  const Curve tiles = [](double x) { return 1e-5 + 1e-4 * std::ceil(x / kUnit / 128); };
  LoadPointSearch search(powers(1024), kUnit);
  run(search, tiles);
  EXPECT_GT(worst(powers(1024), tiles, 9 * kUnit), 0.3);
  const auto& load_points = search.load_points();
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return std::count_if(load_points.begin(), load_points.end(), [=](std::int64_t load_point) {
      return load_point > low * kUnit && load_point < high * kUnit;
    });
  };
  EXPECT_GE(between(128, 256), 2);
  EXPECT_GE(between(256, 512), 2);
  EXPECT_LE(load_points.size(), LoadPointRules{}.max_load_points);
}

TEST(LoadPointSearch, the_worst_intervals_get_the_last_load_points) {
  LoadPointRules rules;
  rules.max_load_points = powers(512).size() + 2;
  const Curve two = [](double x) { return 1 + (x > 700 ? 0.1 : 0) + (x > 2700 ? 3 : 0); };
  LoadPointSearch search(powers(512), kUnit, rules);
  run(search, two);
  EXPECT_EQ(search.load_points().size(), rules.max_load_points);
  for (const auto load_point : search.load_points())
    if (!std::ranges::binary_search(powers(512), load_point)) {
      EXPECT_GT(load_point, 500);
    }
}

TEST(LoadPointSearch, is_a_function_of_what_it_is_told) {
  const Curve curve = [](double x) { return 1 + std::sqrt(x) + (x > 900 ? 10 : 0); };
  LoadPointSearch one(powers(512), kUnit), other(powers(512), kUnit);
  run(one, curve);
  run(other, curve);
  EXPECT_EQ(one.load_points(), other.load_points());
}

TEST(LoadPointSearch, ends_whatever_it_is_told) {
  Random random(5);
  for (const std::int64_t unit : {std::int64_t{1}, std::int64_t{7}, std::int64_t{64}}) {
    LoadPointSearch search({0, unit, 2 * unit, 1000, 1001, 100000}, unit);
    for (int rounds = 0; !search.probes().empty(); ++rounds) {
      ASSERT_LT(rounds, 100);
      std::vector<double> missed;
      for (std::size_t i = 0; i < search.probes().size(); ++i) missed.push_back(random.uniform());
      search.judge(missed);
    }
    EXPECT_LE(search.load_points().size(), LoadPointRules{}.max_load_points);
    EXPECT_TRUE(std::ranges::is_sorted(search.load_points()));
    EXPECT_EQ(std::ranges::adjacent_find(search.load_points()), search.load_points().end());
  }
}

TEST(MissedBy, takes_the_least_of_the_repeats_and_nothing_that_changes_sides) {
  const Probe probe{0, 4, 10};  // the line says low + 0.4 (high - low)
  const std::vector<double> low{1, 1, 1}, high{2, 2, 2}, above{2.8, 2.0, 1.75}, mixed{2, 1, 2};
  EXPECT_NEAR(missed_by(probe, {low, above, high}), 0.2, 1e-12);
  EXPECT_EQ(missed_by(probe, {low, mixed, high}), 0);
  EXPECT_EQ(missed_by(probe, {{}, {}, {}}), 0);
  const std::vector<double> none{0, 0, 0};
  EXPECT_EQ(missed_by(probe, {none, none, none}), 0);
}

TEST(ActivePoints, are_powers_of_two_that_fit) {
  ProfileOptions options;
  options.max_load = 3000;
  options.max_rows = 1000;
  options.slots = 8;
  auto sweep = active_points(options);
  EXPECT_EQ(sweep.loads, (std::vector<std::int64_t>{8, 128}));
  EXPECT_EQ(sweep.active, (std::vector<std::int32_t>{1, 2, 4, 8}));
  options.slots = 24;
  sweep = active_points(options);
  EXPECT_EQ(sweep.loads, (std::vector<std::int64_t>{16, 256}));
  EXPECT_EQ(sweep.active.back(), 16);
  options.max_rows = 5;
  sweep = active_points(options);
  EXPECT_EQ(sweep.loads, std::vector<std::int64_t>{4});
  options.slots = 1;
  EXPECT_TRUE(active_points(options).empty());
}

}  // namespace
}  // namespace gembench
