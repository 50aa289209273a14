#include "harness/report/verdict.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "results/run_writer.hpp"
#include "tests/results/example.hpp"

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

/// What is found in a file with these differences between its three placements, all of 8 blocks,
/// those to the first one printed; `change` may spoil it.
struct Found {
  RunInfo info = example::info({3, 8, 1, 2, 4, 2, 0}, 1, 1);
  RunEnd end = example::end(info.shape, 1);
  bool finished = true;
};
Verdict verdict_in(std::vector<PairDifference> pairs,
                   const std::function<void(Found&)>& change = {}) {
  Found found;
  found.info.config = R"({"in-sample": false})";
  found.end.check.passed = true;
  found.end.seconds["measure"] = 10;
  if (change) change(found);
  const example::Folder folder;
  {
    RunWriter writer(folder / "r.h5", false);
    writer.describe(found.info);
    if (found.finished) writer.finish(found.end);
  }
  const RunReader file(folder / (found.finished ? "r.h5" : "r.h5.partial"));
  for (PairDifference& one : pairs) one.step_time.blocks = 8;
  Comparison comparison = of(3, pairs);
  const char* labels[] = {"linear", "eplb", "gem"};
  for (std::size_t i = 0; i < 3; ++i) {
    comparison.placements[i].label = labels[i];
    comparison.placements[i]["steps"] = 8;
  }
  for (const PairDifference& one : pairs) {
    if (one.reference == 0) comparison.pairs.push_back(one);
  }
  return verdict_of(file, comparison);
}

/// Of which gem is the fastest.
const std::vector<PairDifference> kClear{pair(1, 0, -0.2, -0.1), pair(2, 0, -0.4, -0.3),
                                         pair(2, 1, -0.3, -0.2)};

TEST(Verdict, names_the_fastest_the_next_and_the_first) {
  const Verdict found = verdict_in(kClear);
  EXPECT_EQ(found.fastest, 2);
  EXPECT_EQ(found.sentence,
            "gem is faster than every other placement: step time -25.00 % (95 % CI -30.00 % .. "
            "-20.00 %) against eplb, which comes next, and -35.00 % (95 % CI -40.00 % .. -30.00 %) "
            "against linear");
}

TEST(Verdict, of_what_is_open_names_those_that_may_be_the_fastest) {
  const auto open = [](const std::vector<PairDifference>& pairs) {
    const Verdict found = verdict_in(pairs);
    EXPECT_EQ(found.fastest, std::nullopt);
    return found.sentence.substr(0, found.sentence.find(": at this noise"));
  };
  const std::string known =
      "gem is faster than linear: step time -35.00 % (95 % CI -40.00 % .. "
      "-30.00 %); ";
  EXPECT_EQ(open({pair(1, 0, -0.2, -0.1), pair(2, 0, -0.4, -0.3), pair(2, 1, -0.3, 0.2)}),
            known + "no difference was found between gem and eplb");
  EXPECT_EQ(open({pair(1, 0, -0.2, 0.3), pair(2, 0, -0.4, 0.3), pair(2, 1, -0.4, -0.3)}),
            "no difference was found between gem and linear");
  EXPECT_EQ(open({pair(1, 0, -0.2, 0.3), pair(2, 0, -0.1, 0.3), pair(2, 1, -0.2, 0.3)}),
            "no difference was found between linear, eplb and gem");
  EXPECT_EQ(open({pair(1, 0, -0.001, 0.001), pair(2, 0, 0.1, 0.2), pair(2, 1, 0.1, 0.2)}),
            "no difference was found between linear and eplb: it is below 2 points");
}

TEST(Verdict, without_intervals_it_is_too_short) {
  auto pairs = kClear;
  for (PairDifference& one : pairs) one.step_time.low = one.step_time.high = {};
  const std::string sentence = verdict_in(pairs).sentence;
  EXPECT_TRUE(sentence.starts_with("too short to tell gem, linear and eplb apart: no interval: "))
      << sentence;
}

TEST(Verdict, what_makes_times_doubtful_leaves_no_fastest) {
  const auto begins = [](const char* with, std::optional<int> fastest,
                         const std::function<void(Found&)>& change) {
    const Verdict found = verdict_in(kClear, change);
    EXPECT_TRUE(found.sentence.starts_with(with)) << found.sentence;
    EXPECT_EQ(found.fastest, fastest) << with;
  };
  begins("no verdict: outputs are wrong", {}, [](Found& f) { f.end.check.passed = false; });
  begins("gem is faster", 2, [](Found& f) {
    f.end.check.passed = false;
    f.end.check.mode = "none";
  });
  begins("the run is unfinished; so far gem is faster", 2, [](Found& f) { f.finished = false; });
  const char* in_sample =
      "planned on the measured steps (in-sample), so gains are larger than a "
      "deployment would see: gem is faster";
  begins(in_sample, {}, [](Found& f) { f.info.config = R"({"in-sample": true})"; });
  begins(in_sample, {}, [](Found& f) {
    f.info.facts["placement_files"] = "p.json was planned on 4 of these 8 steps (IN-SAMPLE)";
  });
  begins("gem is faster", 2, [](Found& f) {
    f.info.facts["placement_files"] = "p.json was planned on none of these steps";
  });
  begins("no verdict: 1 rank", {}, [](Found& f) {
    f.info = example::info({3, 8, 1, 1, 4, 4, 0}, 1, 1);
    f.end = example::end(f.info.shape, 1);
    f.end.check.passed = true;
  });
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
