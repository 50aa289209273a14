#include "harness/report/score_verdict.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/statistics/block_change.hpp"

namespace gembench {
namespace {

JudgedPlacement row(const std::string& name, double mean) {
  JudgedPlacement one;
  one.name = name;
  one.score.step_mean = mean;
  one.in_sample = 0;
  return one;
}

JudgedPlacement drawn(const std::string& name, double mean, double low, double high) {
  JudgedPlacement one = row(name, mean);
  one.drawn.emplace();
  one.drawn->change.mean = one.drawn->change.typical = mean - 1;
  one.drawn->change.low = low;
  one.drawn->change.high = high;
  one.drawn->worst = high + 0.1;
  return one;
}

ScoreContext context(int draws) {
  ScoreContext made;
  made.judged_steps = 64;
  made.draws = draws;
  return made;
}

TEST(ScoreVerdict, NamesTheFastestAndWhatThatRestsOn) {
  const auto found =
      score_verdict(context(0), {row("linear", 1), row("gem", 0.9), row("eplb", 0.95)});
  EXPECT_EQ(found.fastest, "gem");
  EXPECT_EQ(found.sentence,
            "gem is predicted to take least time: step time -10.00 % against linear; this rests on "
            "64 steps of one recording and no draws: --draws N gives an interval");
  ScoreContext one_draw = context(0);
  one_draw.drawn_speeds = true;
  EXPECT_NE(score_verdict(one_draw, {row("linear", 1), row("gem", 0.9)})
                .sentence.find("of one recording, one draw of speeds and no draws"),
            std::string::npos);
}

TEST(ScoreVerdict, HasTheIntervalOfItsDraws) {
  const auto of = [](const JudgedPlacement& gem) {
    return score_verdict(context(12), {row("linear", 1), gem});
  };
  EXPECT_EQ(of(drawn("gem", 0.9, -0.12, -0.08)).sentence,
            "gem is predicted to take least time: step time -10.00 % against linear (95 % CI "
            "-12.00 % .. -8.00 %, 12 draws)");
  EXPECT_EQ(of(drawn("gem", 0.99, -0.03, 0.01)).sentence,
            "no difference was found between gem and linear: step time -1.00 % against linear "
            "(95 % CI -3.00 % .. +1.00 %, 12 draws)");
  const auto slower = of(drawn("gem", 1.1, 0.05, 0.2));
  EXPECT_EQ(slower.fastest, "linear");
  EXPECT_EQ(
      slower.sentence,
      "nothing is predicted to take less time than linear: gem comes next, step time +10.00 % "
      "against linear (95 % CI +5.00 % .. +20.00 %, 12 draws)");
}

TEST(ScoreVerdict, JudgesWhatCouldRunAndChargesItsMoves) {
  JudgedPlacement moving = row("gem every 8", 0.8);
  moving.charge.emplace();
  moving.charge->seconds = 0.15;
  JudgedPlacement knowing = row("linear + ultraep", 0.5);
  knowing.forecast = false;
  EXPECT_EQ(score_verdict(context(0), {row("linear", 1), row("gem", 0.9), moving, knowing}).fastest,
            "gem");
  EXPECT_EQ(score_verdict(context(0), {row("gem", 1), knowing}).sentence,
            "one placement was judged: to compare, name several");
  JudgedPlacement seen = row("gem", 0.9);
  seen.in_sample = 64;
  EXPECT_TRUE(score_verdict(context(0), {row("linear", 1), seen})
                  .sentence.starts_with("planned on the judged steps (in-sample), so gains are "));
}

TEST(ScoreVerdict, EveryFormatHasEveryRow) {
  JudgedPlacement moving = drawn("gem every 8", 0.8, -0.3, -0.1);
  moving.charge = {2, 4e6, 0.1, {}};
  moving.replanned = {3, 2, 16, 32e6, 0.8};
  JudgedPlacement first = row("linear", 1);
  first.charge.emplace();
  ScoreContext asked = context(8);
  asked.verdict = score_verdict(asked, {first, moving});
  const auto csv = score_report(asked, {first, moving}, "csv");
  EXPECT_EQ(std::ranges::count(csv, ','), 3 * 32) << csv;
  EXPECT_NE(csv.find(",3,2,16,3.2e+07,0.8,"), std::string::npos) << csv;
  const auto json = nlohmann::json::parse(score_report(asked, {first, moving}, "json"));
  EXPECT_EQ(json["predicted_fastest"], "gem every 8");
  EXPECT_EQ(json["draws"], 8);
  EXPECT_FALSE(json["placements"][0].contains("replannings"));
  const auto& found = json["placements"][1];
  EXPECT_EQ(found["moved_experts"], 16);
  EXPECT_DOUBLE_EQ(found["charged_mean"], 0.9);
  EXPECT_NEAR(found["against_first"].get<double>(), -0.1, 1e-12) << "with its moves";
  EXPECT_EQ(found["draws_low"], -0.3);
  const auto table = score_report(asked, {first, moving}, "table");
  EXPECT_TRUE(table.ends_with("# " + asked.verdict->sentence + "\n")) << table;
  asked.verdict.reset();
  EXPECT_FALSE(nlohmann::json::parse(score_report(asked, {first}, "json")).contains("verdict"));
}

TEST(BlockChange, BlocksHoldEveryStepOnce) {
  EXPECT_EQ(block_begin(10, 4, 0), 0);
  EXPECT_EQ(block_begin(10, 4, 4), 10);
  for (int block = 0; block < 4; ++block)
    EXPECT_GE(block_begin(10, 4, block + 1) - block_begin(10, 4, block), 2);
}

TEST(BlockChange, SlowChangesAndErrorsWiden) {
  std::vector<double> steady, slow;
  for (int i = 0; i < 48; ++i) {
    steady.push_back(-0.1 + 0.01 * (i % 2));
    slow.push_back(i < 24 ? -0.15 : -0.05);
  }
  const auto width = [](const Difference& d) { return *d.high - *d.low; };
  const Difference known = block_change(steady, 12, 1);
  EXPECT_NEAR(known.typical, std::expm1(-0.095), 1e-3);
  EXPECT_GT(width(block_change(slow, 12, 1)), 3 * width(known));
  Difference wider = known;
  widen({-0.05}, 1, wider);
  EXPECT_EQ(wider.low, known.low) << "one error says nothing";
  widen({-0.05, -0.1, -0.15}, 1, wider);
  EXPECT_GT(width(wider), 0.2);
  EXPECT_EQ(wider.typical, known.typical);
}

}  // namespace
}  // namespace gembench
