// The clocks of simulated GPUs.

#include "tests/cuda_simulation/graph_for_tests.hpp"

namespace gembench::simulation {
namespace {

using Time = unsigned long long;

class Clocks : public GraphTest {};

__global__ void stamp_kernel(Time* to) {
  *to = GEMBENCH_GLOBAL_TIMER();
}
__global__ void wait_kernel(Time nanoseconds) {
  const Time begin = GEMBENCH_GLOBAL_TIMER();
  while (GEMBENCH_GLOBAL_TIMER() - begin < nanoseconds) continue;
}

/// Times before and after a kernel that spins.
std::pair<Time, Time> around(Time nanoseconds) {
  const Values<Time> stamps(2);
  EXPECT_CUDA(launch(nullptr, 1, 1, 0, stamp_kernel, stamps.get()));
  EXPECT_CUDA(launch(nullptr, 1, 1, 0, wait_kernel, nanoseconds));
  EXPECT_CUDA(launch(nullptr, 1, 1, 0, stamp_kernel, stamps.get() + 1));
  const auto read = stamps.read();
  return {read[0], read[1]};
}

TEST_F(Clocks, a_clock_of_the_host_has_an_offset_a_drift_and_a_step) {
  const auto [begin, end] = around(100'000);
  EXPECT_GE(end - begin, 100'000U);
  set("CLOCK_OFFSET", "5000000000000,7:3");
  const Time ahead = around(0).first;
  EXPECT_GE(ahead - begin, 5'000'000'000'000U);
  EXPECT_LT(ahead - begin, 5'060'000'000'000U);
  set("CLOCK_OFFSET", "-1000000000000:0");
  EXPECT_LT(around(0).first, begin);
  set("CLOCK_OFFSET", "0");
  set("CLOCK_STEP", "1024");
  const auto [first, second] = around(10'000);
  EXPECT_EQ(first % 1024 + second % 1024, 0U);
  set("CLOCK_DRIFT", "9000000");  // ten times as fast
  const double before = now();
  const auto [slow, fast] = around(1'000'000);
  EXPECT_LT(now() - before, 0.2);
  EXPECT_GE(fast - slow, 1'000'000U);
}

TEST_F(Clocks, a_virtual_clock_is_exact) {
  set("CLOCK", "virtual");
  const auto plain = around(0);
  const auto longer = around(100'000);
  const auto extra = (longer.second - longer.first) - (plain.second - plain.first);
  EXPECT_NEAR(static_cast<double>(extra), 100'000, 64);
  const TestEvent begin, end;
  EXPECT_CUDA(cudaEventRecord(begin.event));
  EXPECT_CUDA(launch(nullptr, 1, 1, 0, wait_kernel, Time{100'000}));
  EXPECT_CUDA(cudaEventRecord(end.event));
  EXPECT_CUDA(cudaEventSynchronize(end.event));
  float ms = 0;
  EXPECT_CUDA(cudaEventElapsedTime(&ms, begin.event, end.event));
  EXPECT_NEAR(ms, 0.101, 1e-3);
}

/// A spin in a graph moves what comes after it, in a graph too.
TEST_F(Clocks, a_spin_in_a_graph_shows_in_later_stamps) {
  set("CLOCK", "virtual");
  const Values<Time> stamps(2);
  Time took[2];
  for (const bool planted : {false, true}) {
    const Executable executable(capture([&] {
      EXPECT_CUDA(launch(a_.stream, 1, 1, 0, stamp_kernel, stamps.get()));
      EXPECT_CUDA(launch(a_.stream, 1, 1, 0, wait_kernel, Time{planted ? 50'000U : 0U}));
      EXPECT_CUDA(launch(a_.stream, 1, 1, 0, stamp_kernel, stamps.get() + 1));
    }));
    EXPECT_CUDA(cudaGraphLaunch(executable.graph, a_.stream));
    EXPECT_CUDA(cudaStreamSynchronize(a_.stream));
    took[planted ? 1 : 0] = stamps.read()[1] - stamps.read()[0];
  }
  EXPECT_NEAR(static_cast<double>(took[1] - took[0]), 50'000, 64);
}

}  // namespace
}  // namespace gembench::simulation
