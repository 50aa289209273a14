#include "placement/speeds/profile_dents.hpp"

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

/// Two ranks at four loads, 8 readings each that differ by `noise`; rank 1 is given `latency`.
struct Made {
  Profile profile;
  ProfileSamples samples;
};
Made made(const std::vector<double>& latency, double noise, std::size_t rounds = 8) {
  const std::vector<double> straight{1, 2, 3, 4};
  Made made;
  made.profile.ranks = made.samples.ranks = 2;
  made.profile.load_points = {0, 8, 16, 32};
  made.samples.points = 4;
  made.samples.rounds = rounds;
  for (const auto& of_rank : {straight, latency})
    for (const double seconds : of_rank) {
      made.profile.latency.push_back(seconds);
      for (std::size_t round = 0; round < rounds; ++round)
        made.samples.seconds.push_back(seconds * (1 + noise * (static_cast<double>(round) - 3.5)));
    }
  return made;
}

TEST(Dents, a_fall_beyond_noise_is_named_with_its_rank_and_loads) {
  const auto [profile, samples] = made({1, 3, 2.7, 4}, 0.001);
  const auto dents = dents_of(profile, samples);
  ASSERT_EQ(dents.size(), 1U);
  EXPECT_EQ(dents[0].rank, 1);
  EXPECT_EQ(dents[0].load_point, 2U);
  EXPECT_NEAR(dents[0].fall, 0.1, 1e-9);
  const auto said = say_dents(profile, samples);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0], "latency falls by 10.0 % from 8 to 16 tokens on rank 1, beyond noise");
}

TEST(Dents, noise_small_falls_and_few_readings_are_none) {
  const auto none = [](const Made& made) { return dents_of(made.profile, made.samples).empty(); };
  EXPECT_TRUE(none(made({1, 2, 3, 4}, 0)));
  EXPECT_TRUE(none(made({1, 3, 2.7, 4}, 0.05))) << "the intervals meet";
  EXPECT_TRUE(none(made({1, 3, 2.96, 4}, 0))) << "1.3 %";
  EXPECT_FALSE(none(made({1, 3, 2.92, 4}, 0))) << "2.7 %";
  EXPECT_TRUE(none(made({1, 3, 2, 4}, 0, 5))) << "five readings have no interval";
  Made unread = made({1, 3, 2, 4}, 0);
  unread.samples = {};
  EXPECT_TRUE(none(unread));
}

TEST(Dents, ranks_that_share_one_are_named_together) {
  auto [profile, samples] = made({1, 3, 2.7, 4}, 0);
  const std::size_t each = samples.points * samples.rounds;
  std::copy_n(samples.seconds.begin() + static_cast<std::ptrdiff_t>(each), each,
              samples.seconds.begin());
  const auto said = say_dents(profile, samples);
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("on ranks 0, 1,"), std::string::npos) << said[0];
}

}  // namespace
}  // namespace gembench
