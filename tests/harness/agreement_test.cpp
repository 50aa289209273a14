#include "harness/agreement.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(Agreement, an_error_of_the_root_is_everyones) {
  const Comm comm = Comm::world();
  try {
    on_root(comm, [] { throw Error(ExitCode::output, "no room"); });
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::output);
    EXPECT_STREQ(error.what(), "no room");
  }
}

TEST(Agreement, an_error_of_the_last_rank_is_everyones) {
  const Comm comm = Comm::world();
  try {
    on_every_rank(comm, [&] {
      if (comm.rank() == comm.size() - 1) throw Error(ExitCode::environment, "no GPU");
    });
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::environment);
    EXPECT_STREQ(error.what(), "no GPU");
  }
}

TEST(Agreement, without_an_error_nothing_is_thrown_and_only_the_root_works) {
  const Comm comm = Comm::world();
  int ran = 0;
  on_root(comm, [&] { ++ran; });
  EXPECT_EQ(ran, comm.rank() == 0 ? 1 : 0);
  on_every_rank(comm, [&] { ++ran; });
  EXPECT_EQ(ran, comm.rank() == 0 ? 2 : 1);
}

}  // namespace
}  // namespace gembench
