#include "harness/report/regression.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "harness/report/regression_report.hpp"
#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "results/run_writer.hpp"
#include "tests/results/example.hpp"

namespace gembench {
namespace {

constexpr int kSteps = 16;

/// Two placements on three ranks, step by step; times in ms with 1 % noise of each run's own.
struct Case {
  RunInfo info = example::info({2, kSteps, 1, 3, 6, 2, 0}, 1, 1);
  RunEnd end = example::end(info.shape, 1);
  std::vector<double> compute{1, 1, 1};  ///< [rank] longer by this
  double rest = 1;                       ///< of a step, outside computing
  bool finished = true;

  Case() {
    info.adapts = false;
    info.config = R"({"placements": ["a"], "tokens": 64, "seed": 7})";
    info.facts = {{"program", "p"}, {"device", "cpu"}, {"trace_digest", "1"}, {"started", "then"}};
    info.quiet_before = {};
    info.labels = {"linear", "gem"};
    end.check.passed = true;
    end.quiet_after = {};
    end.quiet_during = {};
  }
};

void write(const std::filesystem::path& path, const Case& made, std::uint64_t seed) {
  Random random(seed);
  RunWriter writer(path, false);
  writer.describe(made.info);
  for (int segment = 0; segment < made.info.shape.segments; ++segment) {
    SegmentRecord record = example::block(made.info, segment);
    record.notes = {};
    // A step's load is its own: noise is what two runs do not share.
    const double load = 1 + 0.5 * std::sin(static_cast<double>(record.at.first_step));
    double slowest = 0;
    for (std::size_t rank = 0; rank < 3; ++rank) {
      const double noise = 1 + 0.02 * (random.uniform() - 0.5);
      const double seconds = 1e-3 * load * made.compute[rank] * noise;
      record.time[time_at("route_time")][rank] = 0.1 * seconds;
      record.time[time_at("expert_time")][rank] = 0.9 * seconds;
      slowest = std::max(slowest, seconds);
    }
    for (double& seconds : record.step_time) seconds = slowest + 1e-3 * made.rest;
    writer.write(record);
  }
  if (made.finished) writer.finish(made.end);
}

/// A run changed by `change` against one changed by `earlier`.
Regression between(const std::function<void(Case&)>& earlier,
                   const std::function<void(Case&)>& change, std::optional<double> fail_above = 5) {
  const example::Folder folder;
  Case old, now;
  now.info.facts["started"] = "now";
  earlier(old);
  change(now);
  write(folder / "old.h5", old, 1);
  write(folder / "new.h5", now, 2);
  const RunReader before(folder / "old.h5"),
      later(folder / (now.finished ? "new.h5" : "new.h5.partial"));
  return regression_of({"old.h5", before}, {"new.h5", later}, fail_above);
}

/// A run changed by `change` against one that is not.
Regression after(const std::function<void(Case&)>& change, std::optional<double> fail_above = 5) {
  return between([](Case&) {}, change, fail_above);
}

bool says(const std::string& sentence, const std::string& part) {
  return sentence.find(part) != std::string::npos;
}

TEST(Regression, the_same_again_is_not_slower) {
  const Regression found = after([](Case&) {});
  ASSERT_EQ(found.placements.size(), 2u);
  for (const PlacementSince& row : found.placements) {
    EXPECT_NEAR(row.step_time.typical, 0, 0.01);
    EXPECT_EQ(judge(row.step_time, found.limit()), SinceWord::not_slower);
    EXPECT_EQ(row.ranks.size(), 3u);
  }
  EXPECT_FALSE(has_failed(found));
  EXPECT_TRUE(says(sentence_of(found), "not slower than old.h5 by more than 5 %"));
}

TEST(Regression, a_slow_rank_is_named_with_size_and_time) {
  const auto slow = [](Case& now) { now.compute[1] = 1.4; };
  const Regression found = after(slow);
  EXPECT_NEAR(found.placements[1].step_time.typical, 0.2, 0.02) << "of computing and the rest";
  EXPECT_NEAR(found.placements[1].ranks[1].typical, 0.4, 0.02);
  EXPECT_TRUE(has_failed(found));
  const std::string sentence = sentence_of(found);
  for (const char* part : {"slower than old.h5: ", "1 other placement too", "limit of 5 %",
                           "between then and now", "rank 1 (node-1) slowed down"}) {
    EXPECT_TRUE(says(sentence, part)) << part << " in " << sentence;
  }
  EXPECT_FALSE(has_failed(after(slow, {}))) << "without a limit nothing fails";
  EXPECT_FALSE(has_failed(after(slow, 50)));
  EXPECT_TRUE(says(regression_report(found, "csv"), "\"gem\",1,,,0."));
  EXPECT_TRUE(says(regression_report(found, "json"), "\"failed\": true"));
}

TEST(Regression, what_all_ranks_or_none_of_them_share_names_none) {
  EXPECT_TRUE(says(sentence_of(after([](Case& now) {
                     now.compute = {1.4, 1.4, 1.4};
                   })),
                   "no rank stands out: computing takes +"));
  EXPECT_TRUE(says(sentence_of(after([](Case& now) { now.rest = 2; })), "look at communication"));
}

TEST(Regression, an_interval_around_the_limit_is_no_verdict) {
  // 0.1 of 2 ms more, and 5 % is asked for.
  const Regression found = after([](Case& now) { now.rest = 1.1; });
  EXPECT_EQ(judge(found.placements[0].step_time, found.limit()), SinceWord::open);
  EXPECT_FALSE(has_failed(found));
  EXPECT_TRUE(says(sentence_of(found), "cannot tell below 7.2")) << sentence_of(found);
  EXPECT_TRUE(says(sentence_of(found), ", and the limit is 5 %"));
}

TEST(Regression, ranks_that_hold_other_experts_are_not_compared) {
  const Regression found =
      after([](Case& now) { std::ranges::reverse(now.info.placements[1].slot_expert); });
  EXPECT_EQ(found.placements[0].ranks.size(), 3u);
  EXPECT_TRUE(found.placements[1].ranks.empty());
}

TEST(Regression, other_placements_are_left_out) {
  const Regression found = after([](Case& now) {
    now.info.labels = {"eplb", "gem"};
    now.info.config = R"({"placements": ["b"], "tokens": 64, "seed": 7})";
  });
  ASSERT_EQ(found.placements.size(), 1u);
  EXPECT_EQ(found.placements[0].placement, "gem");
}

TEST(Regression, another_configuration_is_refused_and_another_program_noted) {
  const std::pair<const char*, std::function<void(Case&)>> refused[] = {
      {"--tokens", [](Case& c) { c.info.config.replace(c.info.config.find("64"), 2, "32"); }},
      {"--seed", [](Case& c) { c.info.config.replace(c.info.config.find("7}"), 1, "8"); }},
      {"device", [](Case& c) { c.info.facts["device"] = "gpu"; }},
      {"clock", [](Case& c) { c.info.clock = "wall"; }},
      {"loads", [](Case& c) { c.info.facts["trace_digest"] = "2"; }},
      {"no placement in common",
       [](Case& c) {
         c.info.labels = {"eplb", "vibe"};
       }},
      {"is not complete", [](Case& c) { c.finished = false; }},
      {"wrong outputs", [](Case& c) { c.end.check.passed = false; }},
  };
  for (const auto& [said, change] : refused) {
    try {
      after(change);
      ADD_FAILURE() << said;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_TRUE(says(error.what(), said)) << error.what();
    }
  }
  const Regression noted = after([](Case& c) { c.info.facts["program"] = "q"; });
  ASSERT_EQ(noted.notes.size(), 1u);
  EXPECT_EQ(noted.notes[0], "program changed: p then, q now");
  // The fastest way is measured at each start; an older file does not say which.
  const auto products = [](const char* then) {
    return between([&](Case& c) { c.info.rank_facts["expert_products"].assign(3, then); },
                   [](Case& c) { c.info.rank_facts["expert_products"].assign(3, "cutlass"); });
  };
  EXPECT_EQ(products("cublas").notes,
            std::vector<std::string>{"expert products changed: cublas then, cutlass now"});
  EXPECT_TRUE(products("").notes.empty());
}

}  // namespace
}  // namespace gembench
