#include "harness/run/continue_command.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace gembench {
namespace {

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
