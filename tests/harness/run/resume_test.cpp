#include "harness/run/resume.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "placement/base/error.hpp"

namespace gembench {
namespace {

RunInfo run() {
  RunInfo info;
  info.shape.ranks = 2;
  info.config = R"({"model": "a", "steps": 40})";
  info.clock = "wall";
  info.facts = {{"trace_digest", "1"}, {"program", "p 1"}, {"device", "cpu"}, {"started", "today"}};
  info.rank_facts["host"] = {"n1", "n2"};
  return info;
}

/// All checks, as a resumed run makes them.
void require_same(const RunInfo& earlier, const RunInfo& mine) {
  require_same_anonymity(earlier, mine.rank_facts.contains("anonymous"));
  require_same_command(earlier, mine.shape.ranks, mine.config);
  require_same_loads(earlier, mine.facts.at("trace_digest"));
  require_same_machine(earlier, mine);
}

TEST(Resume, the_same_run_on_another_day_goes_on) {
  RunInfo later = run();
  later.facts["started"] += " in the evening";
  EXPECT_NO_THROW(require_same(run(), later));
}

TEST(Resume, another_way_to_compute_experts_is_said) {
  RunInfo before = run(), now = run();
  EXPECT_EQ(describe_resumption(before, now, "noon"), "last at noon");
  before.rank_facts["expert_products"] = {"grouped up to 8 assignments", "..."};
  now.rank_facts["expert_products"] = {"one by one up to 8 assignments", "..."};
  EXPECT_NO_THROW(require_same(before, now));
  EXPECT_EQ(describe_resumption(before, now, "noon"),
            "last at noon with other expert products (grouped up to 8 assignments before, now one "
            "by one up to 8 assignments)");
  // Blocks of that part stay in the file, whatever the next part does.
  before.facts["resumed"] = describe_resumption(before, now, "noon");
  EXPECT_EQ(describe_resumption(before, before, "night"),
            "last at night with other expert products (grouped up to 8 assignments before, now one "
            "by one up to 8 assignments)");
}

TEST(Resume, another_run_is_refused_by_what_differs_first) {
  const std::pair<const char*, std::function<void(RunInfo&)>> differences[] = {
      {"ranks", [](RunInfo& r) { r.shape.ranks = 4; }},
      {"--steps", [](RunInfo& r) { r.config = R"({"model": "a", "steps": 41})"; }},
      {"--seed", [](RunInfo& r) { r.config = R"({"model": "a", "seed": 1, "steps": 40})"; }},
      {"loads", [](RunInfo& r) { r.facts["trace_digest"] += "2"; }},
      {"program", [](RunInfo& r) { r.facts["program"] += "2"; }},
      {"device", [](RunInfo& r) { r.facts.erase("device"); }},
      {"clock", [](RunInfo& r) { r.clock += "x"; }},
      {"nodes", [](RunInfo& r) { r.rank_facts["host"][1] += "x"; }},
      {"--anonymous",
       [](RunInfo& r) {
         r.rank_facts["anonymous"] = {"yes", "yes"};
       }},
  };
  for (const auto& [said, change] : differences) {
    RunInfo other = run();
    change(other);
    try {
      require_same(run(), other);
      ADD_FAILURE() << said << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find(said), std::string::npos) << error.what();
    }
  }
}

TEST(Resume, a_file_without_names_is_not_continued_with_names) {
  RunInfo without = run();
  without.rank_facts["anonymous"] = {"yes", "yes"};
  EXPECT_NO_THROW(require_same_anonymity(without, true));
  EXPECT_THROW(require_same_anonymity(without, false), Error);
  EXPECT_THROW(require_same_anonymity(run(), true), Error);
}

TEST(Resume, an_unreadable_config_of_the_file_is_another_run) {
  RunInfo broken = run();
  broken.config.pop_back();
  EXPECT_THROW(require_same(broken, run()), Error);
}

}  // namespace
}  // namespace gembench
