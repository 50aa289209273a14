#include "harness/report/probe_verdict.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "harness/report/probe_report.hpp"
#include "harness/report/prometheus.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "tests/results/example.hpp"

namespace gembench {
namespace {

constexpr double kLimit = 0.05;

/// A probe of one load; the last rank takes `factor` times as long.
ProfileFile probe_of(int ranks, std::size_t rounds, double noise, double factor = 1) {
  Random random(fold(static_cast<std::uint64_t>(ranks), rounds));
  ProfileFile file;
  file.profile.ranks = file.samples.ranks = ranks;
  file.profile.load_points = {0, 64};
  file.profile.model = "tiny";
  file.profile.clock = "wall";
  file.profile.slots = 4;
  file.samples.points = 2;
  file.samples.rounds = rounds;
  file.measured = "2026-11-29T00:00:00Z";
  for (int rank = 0; rank < ranks; ++rank) {
    const double seconds = 1e-3 * (rank + 1 == ranks ? factor : 1);
    file.profile.latency.insert(file.profile.latency.end(), {1e-6, seconds});
    file.profile.spread.insert(file.profile.spread.end(), {0, 0});
    file.profile.overhead.push_back(0);
    file.profile.slowdown.push_back(1);
    file.samples.seconds.insert(file.samples.seconds.end(), rounds, 1e-6);
    for (std::size_t round = 0; round < rounds; ++round)
      file.samples.seconds.push_back(seconds * (1 + noise * (random.uniform() - 0.5)));
    file.rank_facts["host"].push_back("node7");
    file.rank_facts["device_id"].push_back(fmt::format("GPU-{}", rank));
  }
  return file;
}

/// `earlier` profiles of one rank's device, then this one's.
ProfileHistory history_of(std::size_t earlier, double now) {
  Random random(earlier);
  ProfileHistory history;
  DeviceHistory device{"GPU-0", 0, {}, {}, {}, {}};
  for (std::size_t i = 0; i < earlier; ++i)
    device.seconds.push_back(1e-3 * (1 + 0.005 * random.uniform()));
  device.seconds.push_back(now);
  history.devices = {device};
  history.left_out = {"a.h5 is left out: it was measured at other loads"};
  return history;
}

TEST(ProbeVerdict, a_slow_rank_fails_and_is_named_with_its_device) {
  const ProfileFile file = probe_of(4, 100, 0.01, 3);
  const ProbeVerdict verdict = judge_probe(file, {}, kLimit);
  EXPECT_EQ(verdict.code(), ExitCode::failed);
  EXPECT_EQ(verdict.rounds, 100U);
  for (int rank = 0; rank < 4; ++rank) EXPECT_EQ(verdict.ranks[sz(rank)].slow(), rank == 3);
  const auto said = findings(file, verdict);
  ASSERT_EQ(said.size(), 2U);
  EXPECT_TRUE(said[0].starts_with("rank 3 (node7, GPU-3) is slow: 200.")) << said[0];
  EXPECT_TRUE(said[1].starts_with("no other rank is 5.0 % slower than the others")) << said[1];
}

TEST(ProbeVerdict, equal_ranks_pass_and_noise_is_no_answer) {
  EXPECT_EQ(judge_probe(probe_of(4, 100, 0.01), {}, kLimit).code(), ExitCode::ok);
  const ProfileFile noisy = probe_of(4, 100, 1.5);
  const ProbeVerdict verdict = judge_probe(noisy, {}, kLimit);
  EXPECT_EQ(verdict.code(), ExitCode::insufficient_evidence);
  EXPECT_GT(verdict.resolution(), kLimit);
  EXPECT_TRUE(findings(noisy, verdict)[0].ends_with("missed; measure longer with --max-seconds"));
  const ProfileFile shortest = probe_of(4, 3, 0.01, 3);
  const ProbeVerdict unknown = judge_probe(shortest, {}, kLimit);
  EXPECT_EQ(unknown.code(), ExitCode::insufficient_evidence);
  EXPECT_NE(findings(shortest, unknown)[0].find("3 rounds are too few"), std::string::npos);
}

TEST(ProbeVerdict, a_single_rank_is_judged_by_its_past_alone) {
  const ProfileFile file = probe_of(1, 20, 0.01, 1.2);
  const auto code = [&](std::size_t earlier, double now) {
    return judge_probe(file, history_of(earlier, now), kLimit).code();
  };
  EXPECT_EQ(judge_probe(file, {}, kLimit).code(), ExitCode::insufficient_evidence);
  EXPECT_EQ(code(4, 1.2e-3), ExitCode::insufficient_evidence);
  EXPECT_EQ(code(8, 1.2e-3), ExitCode::failed);
  const ProfileFile usual = probe_of(1, 20, 0.01, 1.0025);
  EXPECT_EQ(judge_probe(usual, history_of(8, 1.0025e-3), kLimit).code(), ExitCode::ok);
  const auto said = findings(file, judge_probe(file, history_of(8, 1.2e-3), kLimit));
  ASSERT_EQ(said.size(), 2U);
  EXPECT_NE(said[0].find("has become slow: "), std::string::npos) << said[0];
  EXPECT_NE(said[0].find("8 earlier probes"), std::string::npos) << said[0];
  EXPECT_EQ(said[1], "a.h5 is left out: it was measured at other loads");
  const ProbeVerdict early = judge_probe(file, history_of(2, 1.2e-3), kLimit);
  EXPECT_NE(findings(file, early)[0].find("holds 2 of the 5"), std::string::npos);
}

TEST(ProbeVerdict, a_past_that_tells_nothing_hides_no_answer_of_the_others) {
  const ProfileFile file = probe_of(4, 100, 0.01);
  EXPECT_EQ(judge_probe(file, history_of(1, 1e-3), kLimit).code(), ExitCode::ok);
}

TEST(ProbeVerdict, a_rank_that_was_not_compared_is_not_cleared) {
  const ProfileFile file = probe_of(3, 3, 0.01);  // too few rounds for the others
  const auto judge = [&](std::vector<std::size_t> earlier) {
    ProfileHistory history = history_of(earlier[0], 1e-3);
    history.devices[0].rank = 0;
    for (int rank = 1; rank < 3; ++rank) {
      history.devices.push_back(history_of(earlier[sz(rank)], 1e-3).devices[0]);
      history.devices.back().rank = rank;
    }
    return judge_probe(file, history, kLimit);
  };
  EXPECT_EQ(judge({8, 8, 8}).code(), ExitCode::ok);
  const ProbeVerdict verdict = judge({8, 3, 8});
  EXPECT_EQ(verdict.code(), ExitCode::insufficient_evidence);
  EXPECT_LE(verdict.past_resolution, kLimit);
  const auto said = findings(file, verdict);
  ASSERT_EQ(said.size(), 4U);
  EXPECT_TRUE(said[1].starts_with("no rank of 2 with earlier probes is 5.0 %")) << said[1];
  EXPECT_EQ(said[2],
            "cannot tell whether the other rank is slower than it was: the history holds 3 of the "
            "5 earlier probes that it takes");
  // Compared with the others, each of them is cleared by that.
  EXPECT_EQ(judge_probe(probe_of(3, 100, 0.01), history_of(8, 1e-3), kLimit).code(), ExitCode::ok);
}

TEST(ProbeVerdict, tables_json_and_metrics_name_the_slow_rank) {
  const ProfileFile file = probe_of(2, 60, 0.01, 3);
  const ProbeVerdict verdict = judge_probe(file, {}, kLimit);
  const std::string table = probe_report(file, verdict, {"a line"}, "table");
  EXPECT_TRUE(table.starts_with("# a line\n")) << table;
  EXPECT_NE(table.find(" slow  node7, - GPU-1\n"), std::string::npos) << table;
  const std::string json = probe_report(file, verdict, {"a line"}, "json");
  EXPECT_NE(json.find("\"verdict\": \"slow\""), std::string::npos) << json;
  EXPECT_EQ(json.find("a line"), std::string::npos);
  const std::string metrics = prometheus_text(metrics_of(file, verdict));
  const std::string labels = "{rank=\"1\",host=\"node7\",device=\"GPU-1\"} ";
  EXPECT_NE(metrics.find("gembench_probe_slow" + labels + "1\n"), std::string::npos) << metrics;
  EXPECT_EQ(metrics.find("past"), std::string::npos) << metrics;
}

}  // namespace
}  // namespace gembench
