#include "harness/cli/terminal.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace gembench {
namespace {

Terminal with(const StreamFacts& streams, const std::map<std::string, std::string>& set) {
  return terminal_in(streams, [&](const char* name) {
    const auto found = set.find(name);
    return found == set.end() ? nullptr : found->second.c_str();
  });
}

constexpr StreamFacts kTerminal{true, true, 120, false}, kPiped{false, false, 0, false};
constexpr StreamFacts kUnderMpirun{true, true, 120, true};  // a terminal of mpirun's own

TEST(Terminal, a_file_or_a_pipe_gets_neither_bold_print_nor_progress_in_place) {
  EXPECT_EQ(with(kPiped, {}), Terminal{});
  EXPECT_EQ(with(kPiped, {{"GEMBENCH_TERMINAL", "out err"}}), Terminal{});
  const Terminal error_only = with({false, true, 90, false}, {});
  EXPECT_FALSE(error_only.bold);
  EXPECT_TRUE(error_only.in_place);
  EXPECT_EQ(error_only.columns, 90);
}

TEST(Terminal, no_color_and_dumb_terminals_are_respected) {
  EXPECT_TRUE(with(kTerminal, {}).bold);
  EXPECT_TRUE(with(kTerminal, {{"NO_COLOR", ""}}).bold) << "an empty NO_COLOR asks for nothing";
  EXPECT_FALSE(with(kTerminal, {{"NO_COLOR", "1"}}).bold);
  EXPECT_TRUE(with(kTerminal, {{"NO_COLOR", "1"}}).in_place);
  EXPECT_EQ(with(kTerminal, {{"TERM", "dumb"}}), Terminal{});
}

TEST(Terminal, a_rank_believes_the_script_that_started_its_launcher_alone) {
  EXPECT_EQ(with(kUnderMpirun, {}), Terminal{});
  const Terminal told = with(kUnderMpirun, {{"GEMBENCH_TERMINAL", "out err"}, {"COLUMNS", "70"}});
  EXPECT_EQ(told, (Terminal{true, true, true, 70}));
  EXPECT_FALSE(with(kUnderMpirun, {{"GEMBENCH_TERMINAL", "err"}}).bold);
}

TEST(Terminal, is_as_narrow_as_it_is) {
  EXPECT_EQ(with({true, true, 7, false}, {}).columns, 7);
  EXPECT_EQ(with(kUnderMpirun, {{"GEMBENCH_TERMINAL", "err"}, {"COLUMNS", "7"}}).columns, 7);
  for (const char* unknown : {"", "0", "-3", "wide"}) {
    EXPECT_EQ(with({true, true, 0, false}, {{"COLUMNS", unknown}}).columns, 80) << unknown;
  }
}

TEST(Terminal, is_asked_for_its_columns_again) {
  const int ours = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(ours, 0);
  ASSERT_EQ(grantpt(ours), 0);
  ASSERT_EQ(unlockpt(ours), 0);
  const int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY), before = dup(STDERR_FILENO);
  ASSERT_GE(theirs, 0);
  std::vector<int> found;
  dup2(theirs, STDERR_FILENO);
  for (const unsigned short columns : std::vector<unsigned short>{50, 10, 90}) {
    const winsize size{24, columns, 0, 0};
    ioctl(theirs, TIOCSWINSZ, &size);
    found.push_back(columns_now());
  }
  dup2(before, STDERR_FILENO);
  for (const int file : {ours, theirs, before}) close(file);
  EXPECT_EQ(found, (std::vector<int>{50, 10, 90}));
}

}  // namespace
}  // namespace gembench
