// Runs that end early: killed, or out of disk. Each writer is a process of its own.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "example.hpp"
#include "results/run_reader.hpp"
#include "results/run_writer.hpp"

namespace gembench {
namespace {

const RunShape kShape{
    .placements = 2, .steps = 400, .layers = 4, .ranks = 4, .experts = 8, .slots = 2};
constexpr int kBlockSteps = 8;

/// Ends with the exit code of the Error that `body` throws.
int in_child(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 0;
    try {
      body();
    } catch (const Error& error) {
      std::fprintf(stderr, "[child] %s\n", error.what());
      code = static_cast<int>(error.code());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "[child] %s\n", error.what());
      code = 99;
    }
    std::exit(code);  // with exit handlers: HDF5's must not spoil the file
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void write_blocks(RunWriter& writer, int from, int to) {
  for (int b = from; b < to; ++b) {
    writer.write(example::block(kShape, b % 2, b / 2 * kBlockSteps, kBlockSteps, b / 2));
  }
}

/// Every step with a block is there whole; returns the number of complete blocks.
int count_whole_blocks(const RunReader& reader) {
  int whole = 0;
  for (int p = 0; p < kShape.placements; ++p) {
    const auto blocks = reader.blocks(p);
    for (int first = 0; first < kShape.steps; first += kBlockSteps) {
      const auto index = blocks.at(static_cast<std::size_t>(first));
      if (index < 0) continue;
      const auto expected = example::block(kShape, p, first, kBlockSteps, first / kBlockSteps);
      const auto read = reader.read(p, first, kBlockSteps);
      EXPECT_EQ(index, expected.block);
      EXPECT_EQ(read.time, expected.time);
      EXPECT_EQ(read.count, expected.count);
      EXPECT_EQ(read.step_time, expected.step_time);
      EXPECT_EQ(read.order, expected.order);
      ++whole;
    }
  }
  return whole;
}

TEST(Unfinished, AKilledRunLeavesExactlyItsBlocks) {
  for (int blocks : {0, 1, 2, 37, 100}) {
    const example::Folder folder;
    EXPECT_EQ(in_child([&] {
                RunWriter writer(folder / "r.h5", false);
                writer.describe(example::info(kShape, 1));
                write_blocks(writer, 0, blocks);
                raise(SIGKILL);
              }),
              -SIGKILL);
    EXPECT_FALSE(std::filesystem::exists(folder / "r.h5"));
    const RunReader reader(folder / "r.h5.partial");
    EXPECT_FALSE(reader.completed());
    EXPECT_TRUE(reader.end().bytes_pair.empty());
    EXPECT_EQ(reader.info().labels, example::info(kShape, 1).labels);
    EXPECT_EQ(count_whole_blocks(reader), blocks);
  }
}

TEST(Unfinished, AnyMomentOfTheKillIsFine) {
  for (int trial = 0; trial < 40; ++trial) {
    const example::Folder folder;
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      RunWriter writer(folder / "r.h5", false);
      writer.describe(example::info(kShape, 1));
      for (int b = 0; b < 100; ++b) {
        write_blocks(writer, b, b + 1);
        if (write(ready[1], "x", 1) != 1) break;
      }
      pause();
    }
    char byte = 0;
    int done = 0;
    for (; done < 5 + trial / 4; ++done) ASSERT_EQ(read(ready[0], &byte, 1), 1);
    usleep(static_cast<useconds_t>(137 * trial));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(ready[0]);
    close(ready[1]);
    try {
      EXPECT_GE(count_whole_blocks(RunReader(folder / "r.h5.partial")), done);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Unfinished, AnExceptionOrExitLeavesTheBlocksToo) {
  const example::Folder folder;
  EXPECT_EQ(in_child([&] {
              RunWriter writer(folder / "a.h5", false);
              writer.describe(example::info(kShape, 1));
              write_blocks(writer, 0, 3);
              throw usage_error("something else");
            }),
            2);
  EXPECT_EQ(count_whole_blocks(RunReader(folder / "a.h5.partial")), 3);
  EXPECT_EQ(in_child([&] {
              RunWriter writer(folder / "b.h5", false);
              writer.describe(example::info(kShape, 1));
              write_blocks(writer, 0, 3);
              std::exit(5);
            }),
            5);
  EXPECT_EQ(count_whole_blocks(RunReader(folder / "b.h5.partial")), 3);
}

TEST(Unfinished, ARunThatEndsBeforeDescribeIsRefusedInASentence) {
  const example::Folder folder;
  EXPECT_EQ(in_child([&] {
              RunWriter writer(folder / "r.h5", false);
              raise(SIGKILL);
            }),
            -SIGKILL);
  try {
    RunReader reader(folder / "r.h5.partial");
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("before anything was measured"), std::string::npos);
  }
}

/// A limit on the size of files acts like a disk that fills up at that size.
TEST(Unfinished, AFullDiskIsAnOutputErrorAndLosesNothing) {
  std::uintmax_t described = 0, full = 0;
  {
    const example::Folder folder;
    RunWriter writer(folder / "r.h5", false);
    writer.describe(example::info(kShape, 1));
    described = std::filesystem::file_size(folder / "r.h5.partial");
    write_blocks(writer, 0, 100);
    writer.finish(example::end(kShape, 2));
    full = std::filesystem::file_size(folder / "r.h5");
  }
  for (int trial = 0; trial < 30; ++trial) {
    const example::Folder folder;
    const auto limit = described + (full - described) * static_cast<unsigned>(trial) / 30;
    int done[2];
    ASSERT_EQ(pipe(done), 0);
    EXPECT_EQ(in_child([&] {
                signal(SIGXFSZ, SIG_IGN);
                const rlimit size{limit, limit};
                setrlimit(RLIMIT_FSIZE, &size);
                if (std::freopen("/dev/null", "w", stderr) == nullptr) throw std::exception();
                RunWriter writer(folder / "r.h5", false);
                writer.describe(example::info(kShape, 1));
                for (int b = 0; b < 100; ++b) {
                  write_blocks(writer, b, b + 1);
                  if (write(done[1], "x", 1) != 1) throw std::exception();
                }
                writer.finish(example::end(kShape, 2));
              }),
              static_cast<int>(ExitCode::output))
        << limit;
    close(done[1]);
    int blocks = 0;
    for (char byte = 0; read(done[0], &byte, 1) == 1;) ++blocks;
    close(done[0]);
    try {
      EXPECT_GE(count_whole_blocks(RunReader(folder / "r.h5.partial")), blocks) << limit;
    } catch (const Error& error) {
      EXPECT_EQ(trial, 0) << error.what() << " at " << limit << " after " << blocks;
    }
  }
}

TEST(Unfinished, TheReasonOfAFullDiskIsNamed) {
  const example::Folder folder;
  EXPECT_EQ(in_child([&] {
              signal(SIGXFSZ, SIG_IGN);
              const rlimit size{200'000, 200'000};
              setrlimit(RLIMIT_FSIZE, &size);
              try {
                RunWriter writer(folder / "r.h5", false);
                writer.describe(example::info(kShape, 1));
              } catch (const Error& error) {
                const std::string text = error.what();
                std::exit(text.find("r.h5.partial: File too large") != std::string::npos ? 42 : 43);
              }
            }),
            42);
}

}  // namespace
}  // namespace gembench
