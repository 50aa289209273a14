#include "harness/run/continue_command.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gembench {
namespace {

TEST(ContinueCommand, words_that_a_shell_would_change_are_quoted) {
  EXPECT_EQ(shell_word("--slowdown=1,1.3"), "--slowdown=1,1.3");
  EXPECT_EQ(shell_word("out/a-1.h5"), "out/a-1.h5");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_word("it's"), R"('it'\''s')");
  EXPECT_EQ(shell_word("~/a"), "'~/a'");
}

TEST(ContinueCommand, goes_on_instead_of_starting_anew) {
  RunCommand options;
  options.program = "bin/gembench";
  options.words = {"run", "--overwrite", "-o", "a b.h5"};
  setenv("GEMBENCH_STARTED_BY", "jobs/local.sh -n 4", 1);
  EXPECT_EQ(continue_command(options, 4), "jobs/local.sh -n 4 run -o 'a b.h5' --resume");
  options.words.emplace_back("--resume");
  EXPECT_EQ(continue_command(options, 4), "jobs/local.sh -n 4 run -o 'a b.h5' --resume");
  unsetenv("GEMBENCH_STARTED_BY");
  EXPECT_EQ(continue_command(options, 1), "bin/gembench run -o 'a b.h5' --resume");
}

}  // namespace
}  // namespace gembench
