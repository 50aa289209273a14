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
  const auto trace = read_recording("auto", {{dir.at("")}, 0, 2, 1});
  EXPECT_EQ(trace.steps, 3);
  EXPECT_EQ(trace.layers, 2);
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{18, 1, 1, 18, 20, 1, 1, 20, 200, 1, 1, 200}));
  EXPECT_EQ(trace.source_loads(0, 1)[3], 9);
  const auto one = read_recording("omni", {{dir.at(name(9, 0))}, 0, 0, 1});
  EXPECT_EQ(one.tokens, (std::vector<std::int32_t>{9, 0, 0, 9}));
  EXPECT_EQ(one.sources, 0);
}

/// The same counts as rank 0 writes them, as all ranks do, and as both do.
TEST(OmniCounts, ColumnsOfSeveralRanksAreTheirOwnSlots) {
  const std::vector<std::vector<int>> layers{{1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1}};
  const auto lines = [&](std::size_t first, std::size_t count) {
    std::string text;
    for (const auto& layer : layers) {
      for (std::size_t i = first; i < first + count; ++i)
        text += (i == first ? "" : "\t") + std::to_string(layer[i]);
      text += "\n";
    }
    return text;
  };
  const std::vector<std::int32_t> all{1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1};
  for (const bool wide : {false, true})
    for (const std::size_t ranks : {1u, 2u, 3u, 6u}) {
      const TempDir dir;
      const auto each = layers[0].size() / ranks;
      for (std::size_t rank = 0; rank < ranks; ++rank)
        (void)dir.write(name(4, int(rank)),
                        wide && rank == 0 ? lines(0, 6) : lines(rank * each, each));
      for (const int stated : {0, 6}) {
        const auto trace = read_recording("auto", {{dir.at("")}, 0, stated, 1});
        EXPECT_EQ(trace.tokens, all);
        EXPECT_EQ(trace.sources, 0);
        EXPECT_EQ(trace.experts, 6);
      }
    }
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
  expect_refused("no file of rank 0 beside that of rank 1", [&] {
    (void)read_raw("omni", {{dir.write(name(5, 1), "1\t1\n")}, 0, 0, 1});
  });
  std::filesystem::remove(dir.at(name(5, 1)));
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
