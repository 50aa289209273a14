#include "moe_layer/profiler/profiler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "placement/speeds/profile_verdict.hpp"
#include "tests/moe_layer/rig.hpp"

namespace gembench {
namespace {

/// One rig for all: making its kernels takes longer than a profile.
class Profiler : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    rig_ = std::make_unique<Rig>(1, Clock::cpu_time);
    placement_ = random_placement(rig_->model, rig_->comm.size(), 1);
    rig_->use(placement_);
    rig_->load();
  }
  static void TearDownTestSuite() { rig_.reset(); }

  Profiler() {
    options_.clock = Clock::cpu_time;
    options_.max_load = kTokens * rig_->model.topk;
    options_.max_rows = kTokens;
    options_.slots = placement_.slots;
    options_.budget_seconds = 0.05;
    const RoutedLoads routed(rig_->trace, placement_, kRouted, kSeed);
    options_.rows_per_pair = routed.rows_per_pair();
    for (std::size_t i = 0; i < routed.count(); ++i) {
      options_.routed.push_back(routed.of(rig_->comm.rank(), i));
    }
  }
  MeasuredProfile measure() const {
    return measure_profile(rig_->comm, *rig_->device, rig_->model, *rig_->layers, rig_->store,
                           {&placement_, 1}, options_);
  }
  [[nodiscard]] bool is_root() const { return rig_->comm.rank() == 0; }

  static constexpr int kRouted = 4;
  static inline std::unique_ptr<Rig> rig_;
  static inline Placement placement_;
  ProfileOptions options_;
};

TEST_F(Profiler, covers_the_loads_of_a_run_for_every_rank) {
  const MeasuredProfile measured = measure();
  const Profile& profile = measured.profile;
  if (!is_root()) {
    EXPECT_EQ(profile.ranks, 0);
    return;
  }
  validate(profile);
  EXPECT_EQ(profile.ranks, rig_->comm.size());
  EXPECT_EQ(profile.slots, placement_.slots);
  EXPECT_EQ(profile.load_points.back(), kTokens * 3);
  for (const auto load_point : profile_load_points(kTokens * 3, placement_.slots)) {
    EXPECT_TRUE(std::ranges::binary_search(profile.load_points, load_point)) << load_point;
  }
  for (int rank = 0; rank < profile.ranks; ++rank) {
    EXPECT_GT(profile.overhead[static_cast<std::size_t>(rank)], 0);
    EXPECT_GT(profile.at(rank, profile.load_points.size() - 1), profile.at(rank, 0));
    ASSERT_FALSE(profile.active.empty());
    for (std::size_t point = 0; point < profile.active.points(); ++point) {
      EXPECT_GT(profile.active.at(rank, point), 0);
    }
  }
}

TEST_F(Profiler, measures_every_rank_under_loads_of_the_trace) {
  const MeasuredProfile measured = measure();
  if (!is_root()) return;
  const RoutedPoints& routed = measured.profile.routed;
  ASSERT_EQ(routed.points, std::size_t{kRouted});
  std::int64_t pairs = 0;
  for (const auto tokens : routed.tokens) pairs += tokens;
  EXPECT_EQ(pairs, std::int64_t{kRouted} * kTokens * rig_->model.topk) << "all ranks together";
  for (int rank = 0; rank < measured.profile.ranks; ++rank) {
    for (std::size_t point = 0; point < routed.points; ++point) {
      EXPECT_GT(routed.at(rank, point), 0);
    }
  }
}

TEST_F(Profiler, medians_are_those_of_the_readings_it_keeps) {
  const auto [profile, samples, warmups, warm, tight, seconds] = measure();
  if (!is_root()) return;
  ASSERT_EQ(samples.ranks, profile.ranks);
  const std::size_t even = profile.load_points.size() + profile.active.points();
  ASSERT_EQ(samples.points, even + profile.routed.points);
  ASSERT_EQ(samples.seconds.size(),
            static_cast<std::size_t>(samples.ranks) * samples.points * samples.rounds);
  EXPECT_GE(warmups, 1);
  EXPECT_GT(seconds, 0);
  for (int rank = 0; rank < profile.ranks; ++rank) {
    for (std::size_t point = 0; point < samples.points; ++point) {
      const Median median = median_of(samples.of(rank, point));
      EXPECT_GE(median.readings, 3);
      const double kept = point < profile.load_points.size() ? profile.at(rank, point)
                          : point < even
                              ? profile.active.at(rank, point - profile.load_points.size())
                              : profile.routed.at(rank, point - even);
      EXPECT_EQ(median.value, kept);
    }
  }
}

TEST_F(Profiler, ends_when_every_median_is_tight) {
  options_.budget_seconds = 1e6;
  options_.tolerance = 1e9;  // any interval at all will do
  const MeasuredProfile measured = measure();
  if (!is_root()) return;
  EXPECT_TRUE(measured.tight);
  const ProfileSamples& samples = measured.samples;
  for (std::size_t point = 0; point < samples.points; ++point) {
    EXPECT_GE(samples.of(0, point).size(), static_cast<std::size_t>(Median::kLeastReadings));
  }
}

TEST_F(Profiler, without_a_budget_three_rounds_are_measured_and_no_load_points_looked_for) {
  options_.budget_seconds = 0;
  const MeasuredProfile measured = measure();
  if (!is_root()) return;
  EXPECT_FALSE(measured.tight);
  EXPECT_EQ(measured.warmup_rounds, 1);
  EXPECT_EQ(measured.samples.rounds, 3U);
  EXPECT_EQ(measured.profile.load_points, profile_load_points(kTokens * 3, placement_.slots));
}

TEST_F(Profiler, is_taken_again_at_the_loads_it_is_told) {
  options_.load_points = {0, 17, 50};
  options_.routed.clear();
  const MeasuredProfile measured = measure();
  if (!is_root()) return;
  EXPECT_EQ(measured.profile.load_points, options_.load_points);
  EXPECT_TRUE(measured.profile.active.empty());
  EXPECT_TRUE(measured.profile.routed.empty());
  validate(measured.profile);
}

TEST_F(Profiler, tells_a_rank_that_is_emulated_to_be_three_times_as_slow) {
  const int slow = rig_->comm.size() - 1;
  options_.slowdown = rig_->comm.rank() == slow ? 3 : 1;
  options_.budget_seconds = 0.5;
  const MeasuredProfile measured = measure();
  if (!is_root() || slow == 0) return;
  const auto speeds = judge_speeds(measured.profile, measured.samples);
  EXPECT_GT(speeds[static_cast<std::size_t>(slow)].slower, 0.5);
  EXPECT_EQ(measured.profile.slowdown[static_cast<std::size_t>(slow)], 3);
}

TEST(ProfileLoadPoints, ascend_from_nothing_to_the_largest_load) {
  for (const std::int64_t load : {1, 7, 64, 1000, 100000}) {
    for (const int slots : {1, 8, 64}) {
      const auto load_points = profile_load_points(load, slots);
      EXPECT_EQ(load_points.front(), 0);
      EXPECT_EQ(load_points.back(), load);  // buffers hold no more
      for (std::size_t i = 1; i < load_points.size(); ++i)
        EXPECT_LT(load_points[i - 1], load_points[i]);
    }
  }
}

}  // namespace
}  // namespace gembench
