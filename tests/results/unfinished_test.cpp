// Runs that end early: killed, or out of disk. Each writer is a process of its own.
#include <gtest/gtest.h>

#include "results/run_reader.hpp"
#include "results/run_writer.hpp"
#include "tests/results/child.hpp"
#include "tests/results/example.hpp"
#include "tests/results/expect_equal.hpp"

namespace gembench {
namespace {

const RunShape kShape{
    .placements = 2, .steps = 400, .layers = 4, .ranks = 4, .experts = 8, .slots = 2};
const RunInfo kInfo = example::info(kShape, 1);

void write_blocks(RunWriter& writer, int from, int to) {
  for (int segment = from; segment < to; ++segment) writer.write(example::block(kInfo, segment));
}

/// Readings of GPUs are there whole, and all those from before the last segment.
void expect_series(const RunReader& reader, int rank, int whole) {
  std::vector<StateSample> written;
  std::size_t least = 0;
  for (int segment = 1; segment < kInfo.shape.segments; segment += 2) {
    const auto states = example::block(kInfo, segment).states.at(static_cast<std::size_t>(rank));
    written.insert(written.end(), states.begin(), states.end());
    if (segment < whole - 1) least = written.size();
  }
  const auto read = reader.series(rank);
  EXPECT_GE(read.size(), least);
  ASSERT_LE(read.size(), written.size());
  written.resize(read.size());
  example::expect_equal(read, written);
}

/// Every step with a block is there whole; returns the number of complete segments.
int count_whole_blocks(const RunReader& reader) {
  int whole = 0;
  for (int segment = 0; segment < kInfo.shape.segments; ++segment) {
    const auto expected = example::block(kInfo, segment);
    const auto& at = expected.at;
    const auto index = reader.blocks(at.placement).at(static_cast<std::size_t>(at.first_step));
    EXPECT_EQ(reader.measured(segment), index >= 0);
    if (index < 0) continue;
    EXPECT_EQ(index, at.block);
    example::expect_equal(reader.read_segment(segment), expected);
    ++whole;
  }
  for (int rank = 0; rank < kShape.ranks; ++rank) expect_series(reader, rank, whole);
  return whole;
}

TEST(Unfinished, AKilledRunLeavesExactlyItsBlocks) {
  for (int blocks : {0, 1, 2, 37, 100}) {
    const example::Folder folder;
    EXPECT_EQ(example::in_child([&] {
                RunWriter writer(folder / "r.h5", false);
                writer.describe(kInfo);
                writer.write_soaks({31, 200, 0, "clock"}, {12, 90, 1});
                write_blocks(writer, 0, blocks);
                raise(SIGKILL);
              }),
              -SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(folder / "r.h5"));
    const RunReader reader(folder / "r.h5.partial");
    EXPECT_FALSE(reader.completed());
    example::expect_equal(reader.end().soak, {31, 200, 0, ""});
    example::expect_equal(reader.end().soak_profile, {12, 90, 1, ""});
    EXPECT_TRUE(reader.end().bytes_pair.empty());
    EXPECT_TRUE(reader.end().seconds.empty());
    EXPECT_TRUE(reader.end().profile_after.empty());
    example::expect_equal(reader.info(), kInfo);
    EXPECT_EQ(count_whole_blocks(reader), blocks);
  }
}

TEST(Unfinished, AnyMomentOfTheKillIsFine) {
  for (int trial = 0; trial < 40; ++trial) {
    const example::Folder folder;
    example::Reporter child([&](const auto& done) {
      RunWriter writer(folder / "r.h5", false);
      writer.describe(kInfo);
      for (int segment = 0; segment < 100; ++segment) {
        write_blocks(writer, segment, segment + 1);
        done();
      }
      pause();
    });
    const int done = 5 + trial / 4;
    ASSERT_TRUE(child.wait_for(done));
    usleep(static_cast<useconds_t>(137 * trial));
    child.kill();
    try {
      EXPECT_GE(count_whole_blocks(RunReader(folder / "r.h5.partial")), done);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Unfinished, AnExceptionOrExitLeavesTheBlocksToo) {
  const example::Folder folder;
  EXPECT_EQ(example::in_child([&] {
              RunWriter writer(folder / "a.h5", false);
              writer.describe(kInfo);
              write_blocks(writer, 0, 3);
              throw usage_error("something else");
            }),
            2);
  EXPECT_EQ(count_whole_blocks(RunReader(folder / "a.h5.partial")), 3);
  EXPECT_EQ(example::in_child([&] {
              RunWriter writer(folder / "b.h5", false);
              writer.describe(kInfo);
              write_blocks(writer, 0, 3);
              std::exit(5);
            }),
            5);
  EXPECT_EQ(count_whole_blocks(RunReader(folder / "b.h5.partial")), 3);
}

TEST(Unfinished, ARunThatEndsBeforeDescribeIsNotInTheNextOnesWay) {
  const example::Folder folder;
  EXPECT_EQ(example::in_child([&] {
              RunWriter writer(folder / "r.h5", false);
              raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(folder / "r.h5.partial"));
  RunWriter writer(folder / "r.h5", false);
  writer.describe(kInfo);
  EXPECT_TRUE(std::filesystem::exists(folder / "r.h5.partial"));
  EXPECT_FALSE(std::filesystem::exists(folder / "r.h5.partial.new"));
}

// What makes any moment of a kill, and any size of the disk, fine: after describe() only values in
// their places change.
TEST(Unfinished, TheFileHasItsFullSizeFromTheStart) {
  const example::Folder folder;
  RunWriter writer(folder / "r.h5", false);
  writer.describe(kInfo);
  const auto described = std::filesystem::file_size(folder / "r.h5.partial");
  writer.write_soaks({31, 200, 0, "clock"}, {});
  write_blocks(writer, 0, 100);
  EXPECT_EQ(std::filesystem::file_size(folder / "r.h5.partial"), described);
  RunEnd end = example::end(kShape, 2);
  end.check.mode = kInfo.check;
  end.check.message.clear();
  end.soak.unsteady.clear();
  end.seconds = {{"total", 1}, {"write", 0.5}};
  writer.finish(end);
  EXPECT_EQ(std::filesystem::file_size(folder / "r.h5"), described);
}

TEST(Unfinished, ADiskThatIsTooSmallIsNoticedBeforeAnythingIsMeasuredAndLeavesNothing) {
  std::uintmax_t described = 0;
  {
    const example::Folder folder;
    RunWriter writer(folder / "r.h5", false);
    writer.describe(kInfo);
    described = std::filesystem::file_size(folder / "r.h5.partial");
  }
  for (unsigned trial = 0; trial < 30; ++trial) {
    const example::Folder folder;
    EXPECT_EQ(example::in_child([&] {
                example::limit_file_size(described * trial / 30);
                if (std::freopen("/dev/null", "w", stderr) == nullptr) throw std::exception();
                RunWriter writer(folder / "r.h5", false);
                writer.describe(kInfo);
              }),
              static_cast<int>(ExitCode::output));
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << trial;
  }
}

TEST(Unfinished, ADiskFullFromTheStartLeavesNothingBehind) {
  const example::Folder folder;
  EXPECT_EQ(example::in_child([&] {
              example::limit_file_size(0);
              if (std::freopen("/dev/null", "w", stderr) == nullptr) throw std::exception();
              RunWriter writer(folder / "r.h5", false);
            }),
            static_cast<int>(ExitCode::output));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Unfinished, AFileThatIsDeletedMeanwhileIsNoticedAtTheNextBlock) {
  const example::Folder folder;
  RunWriter writer(folder / "r.h5", false);
  writer.describe(kInfo);
  write_blocks(writer, 0, 1);
  std::filesystem::remove(folder / "r.h5.partial");
  try {
    write_blocks(writer, 1, 2);
    FAIL() << "nobody would find what is written";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::output);
    EXPECT_NE(std::string(error.what()).find("was deleted"), std::string::npos) << error.what();
  }
}

TEST(Unfinished, TheReasonOfAFullDiskIsNamed) {
  const example::Folder folder;
  EXPECT_EQ(
      example::in_child([&] {
        example::limit_file_size(200'000);
        try {
          RunWriter writer(folder / "r.h5", false);
          writer.describe(kInfo);
        } catch (const Error& error) {
          const std::string text = error.what();
          std::exit(text.find("r.h5.partial.new: File too large") != std::string::npos ? 42 : 43);
        }
      }),
      42);
}

}  // namespace
}  // namespace gembench
