#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;

std::string name(int step, int rank) {
  return "activation_counts_recordstep_" + std::to_string(step) + "_rank_" + std::to_string(rank) +
         ".txt";
}

TEST(OmniCounts, StepsInTheOrderOfTheirNumbers) {
  const TempDir dir;
  for (int step : {10, 9, 100})
    for (int rank : {0, 1})
      (void)dir.write(name(step, rank), std::to_string(step) + "\t" + std::to_string(rank) + "\n" +
                                            std::to_string(rank) + "\t" + std::to_string(step) +
                                            "\t\n");
  (void)dir.write("notes.txt", "not a recording");
  const auto trace = read_recording("auto", {{dir.at("")}, 0, 0, 1});
  EXPECT_EQ(trace.steps, 3);
  EXPECT_EQ(trace.layers, 2);
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{18, 1, 1, 18, 20, 1, 1, 20, 200, 1, 1, 200}));
  EXPECT_EQ(trace.source_loads(0, 1)[3], 9);
  const auto one = read_recording("omni", {{dir.at(name(9, 1))}, 0, 0, 1});
  EXPECT_EQ(one.tokens, (std::vector<std::int32_t>{9, 1, 1, 9}));
  EXPECT_EQ(one.sources, 0);
}

TEST(OmniCounts, RefusesOthers) {
  const TempDir dir;
  const auto refuse = [&](const char* part, const std::string& text) {
    const auto path = dir.write(name(1, 0), text);
    expect_refused(part, [&] { (void)read_raw("omni", {{path}, 0, 0, 1}); });
  };
  refuse("line 1, expert 1", "1\tx\n");
  refuse("line 2, expert 0", "1\t1\n\t1\n");
  refuse("line 1, expert 0", "1,2\n");
  refuse("line 1, expert 0", "1.5\n");
  refuse("line 1, expert 0", "99999999999999999999\n");
  refuse("1 experts in line 2 where the first has 2", "1\t1\n1\n");
  refuse("a count is -1", "1\t-1\n");
  refuse("is empty", "\n\n");
  refuse("more than 1048576 bytes", std::string(2'000'000, '1'));
  expect_refused("is not named", [&] {
    (void)read_raw("omni", {{dir.write("a.txt", "1\n")}, 0, 0, 1});
  });
  (void)dir.write(name(1, 0), "1\t1\n");
  (void)dir.write(name(2, 1), "1\t1\n");
  expect_refused("has other ranks in step 2 than in step 1", [&] {
    (void)read_raw("omni", {{dir.at("")}, 0, 0, 1});
  });
  std::filesystem::remove(dir.at(name(2, 1)));
  (void)dir.write(name(2, 0), "1\t1\t1\n");
  expect_refused("1 layers of 3 experts, unlike the files before", [&] {
    (void)read_raw("omni", {{dir.at("")}, 0, 0, 1});
  });
  expect_refused("second file of its step and rank", [&] {
    (void)read_raw("omni", {{dir.at(name(1, 0)), dir.at(name(1, 0))}, 0, 0, 1});
  });
  const TempDir empty;
  expect_refused("has no activation_counts", [&] {
    (void)read_raw("omni", {{empty.at("")}, 0, 0, 1});
  });
}

TEST(OmniCounts, SurvivesDamage) {
  expect_survives_damage("omni", name(1, 0), "1\t2\t3\n3\t2\t1\n");
}

}  // namespace
}  // namespace gembench
