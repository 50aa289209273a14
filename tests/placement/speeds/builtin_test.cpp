#include <cmath>
#include <limits>
#include <set>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"
#include "placement/speeds/builtin_latencies.hpp"
#include "placement/speeds/builtin_profiles.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

double at_load(const Profile& profile, std::int64_t load) {
  const auto load_point = std::find(profile.load_points.begin(), profile.load_points.end(), load);
  if (load_point == profile.load_points.end()) return std::numeric_limits<double>::quiet_NaN();
  return profile.at(0, std::size_t(load_point - profile.load_points.begin()));
}

TEST(BuiltinProfiles, EveryNameIsASoundProfileForAnyRanks) {
  const auto names = builtin_profile_names();
  EXPECT_EQ(names.size(), 2u * 8 * 2);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const auto& name : names)
    for (int ranks : {1, 2, 3, 4, 6, 8, 16, 24, 64, 128, 256, 3000}) {
      const auto profile = builtin_profile(name, ranks);
      EXPECT_NO_THROW(validate(profile)) << name;
      EXPECT_EQ(profile.ranks, ranks);
      EXPECT_GE(profile.load_points.size(), 10u) << name << " " << ranks;
      EXPECT_GT(*std::min_element(profile.latency.begin(), profile.latency.end()), 1e-5);
      EXPECT_EQ(profile.at(0, 0), profile.at(0, 1));
      EXPECT_EQ(profile.at(0, 5), profile.at(ranks - 1, 5)) << "ranks are equally fast";
    }
}

TEST(BuiltinProfiles, LoadsAreThoseOfBalancedRouting) {
  // 4 ranks, 8 experts, top-2: 64 tokens a step are 32 (token, expert) pairs a rank.
  const auto mixtral = builtin_profile("l40s/mixtral-8x7b", 4);
  EXPECT_DOUBLE_EQ(at_load(mixtral, 32), 1.026e-3);
  EXPECT_DOUBLE_EQ(at_load(mixtral, 40), 1.123e-3) << "the next tile";
  EXPECT_DOUBLE_EQ(at_load(mixtral, 8192), 19.06e-3);
  EXPECT_EQ(mixtral.load_points[1], 1) << "1 token a step is half a pair: left out";
  const auto h100 = builtin_profile("h100/mixtral-8x7b", 4);
  EXPECT_DOUBLE_EQ(at_load(h100, 32), 0.2895e-3);
  const auto qwen3 = builtin_profile("l40s/qwen3-30b-a3b", 4);
  EXPECT_DOUBLE_EQ(at_load(qwen3, 2048), 0.6263e-3);
  const auto wide = builtin_profile("h100/deepseek-v3", 256);
  EXPECT_EQ(wide.load_points[1], 1) << "32 tokens, top-8, 256 ranks";
  EXPECT_EQ(wide.load_points.back(), 512);
}

TEST(BuiltinProfiles, TheNearestMeasuredNumberOfRanksIsTaken) {
  const auto measured_with = [](const char* name, int ranks) {
    const auto text = builtin_profile(name, ranks).model;
    return std::stoi(text.substr(text.find(" with ") + 6));
  };
  EXPECT_EQ(measured_with("l40s/mixtral-8x7b", 3), 4);
  EXPECT_EQ(measured_with("l40s/mixtral-8x7b", 128), 8);
  EXPECT_EQ(measured_with("l40s/llama-4-scout", 6), 8);
  EXPECT_EQ(measured_with("h100/deepseek-v3", 90), 64);
  EXPECT_EQ(measured_with("h100/deepseek-v3", 91), 128);
  EXPECT_EQ(measured_with("h100/hunyuan-a13b", 128), 64) << "it has 64 experts";
}

TEST(BuiltinProfiles, SayWhatTheyAre) {
  const auto text = [](const char* name) { return builtin_profile(name, 4).model; };
  EXPECT_NE(text("h100/deepseek-v3").find("fp8"), std::string::npos);
  EXPECT_NE(text("l40s/gpt-oss-20b").find("mxfp4"), std::string::npos);
  EXPECT_NE(text("l40s/mixtral-8x22b").find("bf16"), std::string::npos);
  EXPECT_NE(text("l40s/hunyuan-a13b").find("roofline"), std::string::npos);
  EXPECT_EQ(text("l40s/mixtral-8x22b").find("estimated"), std::string::npos);
  EXPECT_NE(text("l40s/mixtral-8x22b/local").find("estimated"), std::string::npos);
  EXPECT_EQ(builtin_profile("h100/gpt-oss-20b", 4).device, "NVIDIA H100 SXM");
}

TEST(BuiltinProfiles, HunyuanReadsAndComputesAsMuchAsTwiceTheLoadOfQwen3) {
  for (const char* kind : {"", "/local"})
    for (int ranks : {1, 4, 64}) {
      const auto hunyuan = builtin_profile(std::string("h100/hunyuan-a13b") + kind, ranks);
      const auto qwen3 = builtin_profile(std::string("h100/qwen3-235b-a22b") + kind, ranks);
      for (std::size_t k = 1; k < hunyuan.load_points.size(); ++k)
        EXPECT_EQ(hunyuan.at(0, k), at_load(qwen3, 2 * hunyuan.load_points[k]));
    }
}

TEST(BuiltinProfiles, LocalKeepsTheFloorAndGrowsLikeOneRank) {
  for (const auto& model : measured_models()) {
    const auto name = std::string(model.device) + "/" + std::string(model.model);
    EXPECT_EQ(builtin_profile(name, 1).latency, builtin_profile(name + "/local", 1).latency);
    const auto measured = builtin_profile(name, 8);
    const auto local = builtin_profile(name + "/local", 8);
    const auto alone = builtin_profile(name, 1);
    for (std::size_t k = 1; k < local.load_points.size(); ++k) {
      const auto load = local.load_points[k];
      if (load * 8 / model.topk <= 64) {
        EXPECT_EQ(local.at(0, k), measured.at(0, k)) << name;
        continue;
      }
      EXPECT_NEAR(local.at(0, k),
                  at_load(measured, 8 * model.topk) +
                      (at_load(alone, 8 * load) - at_load(alone, 64 * model.topk)) / 8,
                  1e-12)
          << name << " " << load;
    }
    EXPECT_LT(at_load(local, 2048 * model.topk), at_load(measured, 2048 * model.topk)) << name;
  }
}

TEST(BuiltinProfiles, RefusesUnknownNames) {
  expect_refused("choose one of l40s/mixtral-8x7b, l40s/mixtral-8x22b",
                 [] { (void)builtin_profile("l40s/mixtral", 4); });
  expect_refused("each also with /local", [] { (void)builtin_profile("", 4); });
  expect_refused("at least 1", [] { (void)builtin_profile("l40s/mixtral-8x7b", 0); });
  expect_refused("impossible size", [] { (void)builtin_profile("l40s/mixtral-8x7b", 2000000000); });
}

/// Median and 90 % quantile of slowest / fastest - 1 among so many GPUs drawn, in percent.
std::pair<double, double> spread_among(const char* name, int ranks) {
  std::vector<double> spreads;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const auto drawn = builtin_slowdowns(name, ranks, seed);
    const auto [least, most] = std::minmax_element(drawn.begin(), drawn.end());
    spreads.push_back(100 * (*most / *least - 1));
  }
  return {quantile(spreads, 0.5), quantile(spreads, 0.9)};
}

TEST(BuiltinSlowdowns, DrawsAreAsUnequalAsTheMachines) {
  // Drawn from the GPUs themselves: 3.4 and 5.8 %, 4.8 and 7.5 %, 11.5 and 26 % (one GPU makes the
  // last). GEM names 7.7 % within 8 and 27.7 % over 128 of its GPUs.
  const auto four = spread_among("v100-sgemm", 4);
  EXPECT_NEAR(four.first, 3.4, 0.2);
  EXPECT_NEAR(four.second, 5.9, 0.4);
  const auto eight = spread_among("v100-sgemm", 8);
  EXPECT_NEAR(eight.first, 4.8, 0.2);
  EXPECT_NEAR(eight.second, 7.6, 0.5);
  const auto many = spread_among("v100-sgemm", 128);
  EXPECT_NEAR(many.first, 11, 1);
  EXPECT_NEAR(many.second, 21, 2);
  EXPECT_LT(spread_among("rtx5000-pagerank", 128).second, 0.3) << "memory-bound: no slow GPUs";
}

TEST(BuiltinSlowdowns, ArePureAndContinue) {
  for (const auto& set : builtin_slowdown_sets()) {
    const auto drawn = builtin_slowdowns(set.name, 1000, 7);
    EXPECT_EQ(drawn, builtin_slowdowns(set.name, 1000, 7));
    EXPECT_NE(drawn, builtin_slowdowns(set.name, 1000, 8));
    const auto few = builtin_slowdowns(set.name, 10, 7);
    EXPECT_TRUE(std::equal(few.begin(), few.end(), drawn.begin()));
    EXPECT_NEAR(quantile(drawn, 0.5), 1, 0.005) << "the median GPU is the reference";
    EXPECT_FALSE(set.summary.empty());
  }
  EXPECT_EQ(builtin_slowdown_sets().size(), 8u);
  expect_refused("choose one of v100-sgemm", [] { (void)builtin_slowdowns("v100", 4, 0); });
  expect_refused("at least 1", [] { (void)builtin_slowdowns("v100-sgemm", -1, 0); });
}

TEST(ApplySlowdown, StretchesWhatLiesAboveTheFloor) {
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    const auto before = testing::uneven_profile(3, random.next(), round % 2 == 1);
    const std::vector<double> slowdowns{1.0, 0.9 + 0.1 * random.uniform(), 1 + random.uniform()};
    const double floor = round % 5 == 0 ? 0 : random.uniform();
    auto after = before;
    apply_slowdown(after, slowdowns, floor);
    EXPECT_NO_THROW(validate(after));
    EXPECT_EQ(after.overhead, before.overhead);
    for (int rank = 0; rank < 3; ++rank) {
      const double s = slowdowns[std::size_t(rank)];
      double smallest = std::numeric_limits<double>::infinity();
      for (std::size_t k = 1; k < before.load_points.size(); ++k)
        smallest = std::min(smallest, before.at(rank, k));
      for (std::size_t k = 0; k < before.load_points.size(); ++k) {
        const double is = before.at(rank, k);
        const double kept = std::min(is, floor * smallest);
        EXPECT_NEAR(after.at(rank, k), kept + s * (is - kept), 1e-12);
      }
      EXPECT_DOUBLE_EQ(after.slowdown[std::size_t(rank)], before.slowdown[std::size_t(rank)] * s);
    }
  }
}

TEST(ApplySlowdown, LimitsOfTheFloor) {
  const auto before = builtin_profile("l40s/mixtral-8x7b", 2);
  auto whole = before;
  apply_slowdown(whole, std::vector<double>{1, 1.25});
  auto slope = before;
  apply_slowdown(slope, std::vector<double>{1, 1.25}, 1);
  for (std::size_t k = 0; k < before.load_points.size(); ++k) {
    EXPECT_EQ(whole.at(0, k), before.at(0, k));
    EXPECT_DOUBLE_EQ(whole.at(1, k), 1.25 * before.at(1, k));
    EXPECT_DOUBLE_EQ(slope.at(1, k), before.at(1, 1) + 1.25 * (before.at(1, k) - before.at(1, 1)));
  }
}

TEST(ApplySlowdown, RefusesNonsenseAndChangesNothing) {
  const auto good = builtin_profile("l40s/mixtral-8x7b", 2);
  const auto refuse = [&](const char* part, std::vector<double> slowdowns, double floor) {
    auto profile = good;
    expect_refused(part, [&] { apply_slowdown(profile, slowdowns, floor); });
    EXPECT_EQ(profile.latency, good.latency);
    EXPECT_EQ(profile.slowdown, good.slowdown);
  };
  refuse("3 slowdowns for a profile of 2 ranks", {1, 1, 1}, 0);
  refuse("above 0", {1, 0}, 0);
  refuse("above 0", {1, -2}, 0);
  refuse("above 0", {std::numeric_limits<double>::infinity(), 1}, 0);
  refuse("between 0 and 1", {1, 1}, 1.5);
  refuse("between 0 and 1", {1, 1}, std::numeric_limits<double>::quiet_NaN());
  auto broken = good;
  broken.latency.pop_back();
  expect_refused("the profile holds", [&] { apply_slowdown(broken, std::vector<double>{1, 1}); });
}

}  // namespace
}  // namespace gembench
