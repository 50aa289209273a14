#include "harness/run/collective_errors.hpp"

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

TEST(Agreement, a_rank_that_differs_from_the_root_is_named_on_all) {
  const Comm comm = Comm::world();
  const int odd = comm.size() - 1;
  const std::string mine = comm.rank() == odd && odd > 0 ? "build B" : "build A";
  try {
    require_same(comm, mine, "rank {0} runs {1} and rank 0 {2}");
    EXPECT_EQ(comm.size(), 1) << "only a root alone agrees with itself";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(error.what(), fmt::format("rank {} runs build B and rank 0 build A", odd));
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
