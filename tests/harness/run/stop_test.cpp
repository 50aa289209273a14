#include "harness/run/stop.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include "harness/run/collective_errors.hpp"

namespace gembench {
namespace {

ExitCode code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const AgreedError& error) {
    return error.code();
  }
  return ExitCode::ok;
}

// In one test: what was asked of a process cannot be taken back.
TEST(Stop, one_rank_that_is_asked_ends_all_and_a_signal_counts_more_than_the_limit) {
  const Comm comm = Comm::world();
  const auto ask = [&] { return code_of([&] { throw_if_stopped(comm, "all is kept"); }); };
  watch_for_stop(3600);
  EXPECT_EQ(ask(), ExitCode::ok);
  if (comm.rank() == comm.size() - 1) watch_for_stop(1e-9);
  EXPECT_EQ(ask(), ExitCode::timeout);
  if (comm.rank() == 0) std::raise(SIGTERM);
  EXPECT_EQ(ask(), ExitCode::failed);
}

}  // namespace
}  // namespace gembench
