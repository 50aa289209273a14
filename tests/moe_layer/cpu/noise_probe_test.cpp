#include "moe_layer/cpu/noise_probe.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "placement/base/random.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench {
namespace {

/// As the definition says it: what each quantum took beyond the undisturbed, of all that passed.
double lost_by_definition(const std::vector<double>& seconds, double q) {
  const double undisturbed = quantile(seconds, q);
  double lost = 0, all = 0;
  for (const double one : seconds) {
    lost += std::max(0.0, one - undisturbed);
    all += one;
  }
  return lost / all;
}

TEST(NoiseReduction, agrees_with_its_definition) {
  Random random(3);
  for (int instance = 0; instance < 50; ++instance) {
    NoiseSamples samples;
    double longest = 0;
    for (std::uint64_t i = 0; i < 1 + random.below(200); ++i) {
      const double detour = random.below(10) == 0 ? random.uniform() * 1e-3 : 0;
      samples.wall.push_back(40e-6 + detour);
      samples.cpu.push_back(40e-6 + random.uniform() * 1e-6);
      for (const double earlier : samples.wall) {
        longest = std::max(longest, std::abs(samples.wall.back() - earlier));
      }
    }
    const NoiseReading reading = reduce(samples);
    EXPECT_NEAR(reading.lost, lost_by_definition(samples.wall, 0), 1e-12);
    EXPECT_NEAR(reading.lost_cpu, lost_by_definition(samples.cpu, NoiseReading::kFast), 1e-12);
    EXPECT_DOUBLE_EQ(reading.longest, longest);
    EXPECT_EQ(reading.quantum, *std::min_element(samples.wall.begin(), samples.wall.end()));
  }
}

TEST(NoiseReduction, planted_detours_are_found_to_the_digit) {
  NoiseSamples samples;
  samples.wall.assign(1000, 50e-6);
  samples.wall[17] += 4e-3;
  samples.wall[900] += 1e-3;
  samples.cpu.assign(1000, 50e-6);
  const NoiseReading reading = reduce(samples);
  EXPECT_NEAR(reading.lost, 5e-3 / 55e-3, 1e-9);
  EXPECT_NEAR(reading.longest, 4e-3, 1e-12);
  EXPECT_NEAR(reading.lost_cpu, 0, 1e-12) << "the thread was not running then";
}

TEST(NoiseReduction, cpu_time_booked_on_the_next_quantum_is_no_loss) {
  NoiseSamples samples;
  samples.wall.assign(1000, 50e-6);
  samples.cpu.assign(1000, 50e-6);
  samples.cpu[400] = 25e-6;
  samples.cpu[401] = 75e-6;
  EXPECT_LT(reduce(samples).lost_cpu, 1e-3);
}

TEST(NoiseReduction, nothing_measured_is_not_known) {
  const NoiseReading reading = reduce({});
  EXPECT_TRUE(std::isnan(reading.lost));
  EXPECT_TRUE(std::isnan(reading.longest));
}

TEST(NoiseSampling, gives_quanta_of_both_clocks) {
  const NoiseSamples samples = sample_noise(0.02);
  ASSERT_FALSE(samples.wall.empty());
  EXPECT_EQ(samples.wall.size(), samples.cpu.size());
  EXPECT_LE(samples.wall.size(), kMostQuanta);
  EXPECT_GT(*std::min_element(samples.wall.begin(), samples.wall.end()), 0);
  const NoiseReading reading = reduce(samples);
  EXPECT_GE(reading.lost, 0);
  EXPECT_LT(reading.lost, 1);
  EXPECT_TRUE(sample_noise(0).wall.empty());
}

TEST(BarrierSkew, is_the_distance_of_the_two_farthest_ranks) {
  Random random(5);
  for (const std::size_t ranks : {2U, 3U, 7U}) {
    for (const std::size_t barriers : {1U, 2U, 49U, 50U, 200U}) {
      std::vector<double> exits(ranks * barriers), offsets(ranks), skews;
      for (double& exit : exits) exit = random.uniform();
      for (double& offset : offsets) offset = random.uniform() * 10;
      for (std::size_t b = 0; b < barriers; ++b) {
        double farthest = 0;
        for (std::size_t i = 0; i < ranks; ++i) {
          for (std::size_t j = 0; j < i; ++j) {
            farthest = std::max(farthest, std::abs(exits[i * barriers + b] + offsets[i] -
                                                   exits[j * barriers + b] - offsets[j]));
          }
        }
        skews.push_back(farthest);
      }
      std::sort(skews.begin(), skews.end());
      const BarrierSkew skew = barrier_skew(exits, offsets);
      EXPECT_NEAR(skew.median, (skews[(barriers - 1) / 2] + skews[barriers / 2]) / 2, 1e-12);
      // The smallest skew that 99 % of them do not exceed.
      std::size_t at = 0;
      while (100 * (at + 1) < 99 * barriers) ++at;
      EXPECT_NEAR(skew.p99, skews[at], 1e-12);
    }
  }
}

TEST(BarrierSkew, clocks_that_differ_are_put_right) {
  // Rank 1's clock is 100 s behind; it leaves 3 us later.
  const BarrierSkew skew = barrier_skew(std::vector{200.0, 100.000003}, std::vector{0.0, 100.0});
  EXPECT_NEAR(skew.median, 3e-6, 1e-9);
}

TEST(BarrierSkew, one_rank_has_none) {
  EXPECT_TRUE(std::isnan(barrier_skew(std::vector{1.0, 2.0}, std::vector{0.0}).median));
  EXPECT_TRUE(std::isnan(barrier_skew({}, {}).p99));
}

}  // namespace
}  // namespace gembench
