// Who may write a file: one at a time, and the dead not at all.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/files/output_owner.hpp"
#include "placement/files/whole_file.hpp"
#include "tests/placement/support.hpp"

namespace gembench::testing {
namespace {

namespace fs = std::filesystem;

bool owned(const fs::path& path) {
  try {
    OutputOwner owner(path);
    return false;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::output);
    return true;
  }
}

TEST(OutputOwner, HasTheNameUntilItsEndAndLeavesNothing) {
  TempDir dir;
  const fs::path path = dir.at("a.h5");
  {
    OutputOwner first(path);
    EXPECT_TRUE(owned(path));
    EXPECT_FALSE(owned(dir.at("b.h5")));
    const OutputOwner moved(std::move(first));
    EXPECT_TRUE(owned(path));
    EXPECT_EQ(moved.path(), path);
  }
  EXPECT_FALSE(owned(path));
  EXPECT_FALSE(fs::exists(dir.at("a.h5.lock")));
}

TEST(OutputOwner, AKilledOneOwnsNothing) {
  TempDir dir;
  const fs::path path = dir.at("a.h5");
  const pid_t child = fork();
  if (child == 0) {
    OutputOwner owner(path);
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(fs::exists(dir.at("a.h5.lock")));
  EXPECT_FALSE(owned(path));
  EXPECT_FALSE(fs::exists(dir.at("a.h5.lock")));
}

// Names that are claimed and given back all the time: a file that appends is only ever touched by
// one.
TEST(OutputOwner, OnlyOneOfManyAtAnyMoment) {
  TempDir dir;
  const fs::path path = dir.at("a");
  constexpr int kProcesses = 6, kTurns = 200;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    int wrong = 0;
    for (int turn = 0; turn < kTurns;) {
      try {
        OutputOwner owner(path);
        ++turn;
        // Only its owner makes this file, and removes it.
        const int file = open(dir.at("mine").c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
        wrong += file < 0 ? 1 : 0;
        close(file);
        wrong += unlink(dir.at("mine").c_str()) == 0 ? 0 : 1;
      } catch (const Error&) {
      }
    }
    _exit(wrong == 0 ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_FALSE(fs::exists(dir.at("a.lock")));
}

TEST(OutputOwner, ALockThatIsNoFileIsAnErrorAndNoHang) {
  TempDir dir;
  fs::create_symlink("nowhere", dir.at("a.lock"));
  EXPECT_TRUE(owned(dir.at("a")));
  fs::create_directory(dir.at("b.lock"));
  EXPECT_TRUE(owned(dir.at("b")));
}

TEST(OutputOwner, WritesTheFileItOwns) {
  TempDir dir;
  const OutputOwner owner(dir.at("a.json"));
  EXPECT_THROW(write_whole_file(dir.at("a.json"), "another's", true), Error);
  write_whole_file(owner, "mine", false);
  EXPECT_EQ(slurp(dir.at("a.json")), "mine");
  EXPECT_THROW(write_whole_file(owner, "again", false), Error);
}

}  // namespace
}  // namespace gembench::testing
