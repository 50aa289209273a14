#include "harness/cli/shell_word.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(ShellWord, is_quoted_where_a_shell_would_change_it) {
  EXPECT_EQ(shell_word("--slowdown=1,1.3"), "--slowdown=1,1.3");
  EXPECT_EQ(shell_word("out/a-1.h5"), "out/a-1.h5");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_word("it's"), R"('it'\''s')");
  EXPECT_EQ(shell_word("~/a"), "'~/a'");
}

}  // namespace
}  // namespace gembench
