#include "harness/report/verdict.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

PairDifference pair(int placement, int reference, double low, double high) {
  PairDifference made{placement, reference, {}};
  made.step_time.typical = (low + high) / 2;
  made.step_time.low = low;
  made.step_time.high = high;
  return made;
}

Comparison of(int placements, std::vector<PairDifference> pairs) {
  Comparison made;
  made.placements.resize(static_cast<std::size_t>(placements));
  made.every_pair = std::move(pairs);
  return made;
}

TEST(Verdict, the_fastest_beats_every_other_beyond_doubt) {
  EXPECT_EQ(fastest_of(of(2, {pair(1, 0, -0.2, -0.1)})), 1);
  EXPECT_EQ(fastest_of(of(2, {pair(1, 0, 0.1, 0.2)})), 0);
  EXPECT_EQ(fastest_of(of(2, {pair(1, 0, -0.2, 0.01)})), std::nullopt);
  EXPECT_EQ(fastest_of(of(2, {PairDifference{1, 0, {}}})), std::nullopt) << "without an interval";
  EXPECT_EQ(fastest_of(of(1, {})), std::nullopt) << "a single one is not fast";
}

TEST(Verdict, two_that_both_beat_the_first_are_not_the_fastest_before_one_beats_the_other) {
  const auto one = pair(1, 0, -0.2, -0.1), two = pair(2, 0, -0.22, -0.12);
  EXPECT_EQ(fastest_of(of(3, {one, two, pair(2, 1, -0.03, 0.01)})), std::nullopt);
  EXPECT_EQ(fastest_of(of(3, {one, two, pair(2, 1, -0.03, -0.01)})), 2);
  EXPECT_EQ(fastest_of(of(3, {one, two, pair(2, 1, 0.01, 0.03)})), 1);
}

TEST(Verdict, what_is_certain_comes_before_what_only_seems_better) {
  const auto certain = pair(1, 0, -0.2, -0.1), seems = pair(2, 0, -0.5, 0.1);
  EXPECT_EQ(looks_fastest(of(3, {certain, seems}), 0), 1);
  EXPECT_EQ(looks_fastest(of(3, {pair(2, 0, -0.2, -0.1), pair(1, 0, -0.5, 0.1)}), 0), 2);
  EXPECT_EQ(looks_fastest(of(3, {certain, pair(2, 0, -0.3, -0.2)}), 0), 2);
  EXPECT_EQ(looks_fastest(of(3, {pair(1, 0, -0.1, 0.05), seems}), 0), 2);
  EXPECT_EQ(looks_fastest(of(3, {pair(1, 0, 0.1, 0.2), pair(2, 0, -0.01, 0.2)}), 0), 0);
  // Against another than the first one.
  EXPECT_EQ(looks_fastest(of(3, {pair(1, 0, 0.1, 0.2), pair(2, 1, -0.02, -0.01)}), 1), 0);
}

TEST(Verdict, the_faster_one_comes_first_in_the_sentence) {
  EXPECT_EQ(faster_sentence("gem", "linear", -0.2, -0.25, -0.1),
            "gem is faster than linear: step time -20.00 % (95 % CI -25.00 % .. -10.00 %)");
  EXPECT_EQ(faster_sentence("gem", "linear", 0.25, 0, 1), std::nullopt);
  EXPECT_EQ(faster_sentence("gem", "linear", 0.25, 0.1, 1),
            "linear is faster than gem: step time -20.00 % (95 % CI -50.00 % .. -9.09 %)");
  EXPECT_EQ(faster_sentence("gem", "linear", -0.2, {}, {}), std::nullopt);
}

}  // namespace
}  // namespace gembench
