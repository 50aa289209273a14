#include <gtest/gtest.h>

#include <cmath>

#include "moe_layer/cpu/noise_probe.hpp"

namespace gembench {
namespace {

TEST(MeasuredBarrierSkew, is_known_on_rank_0_of_several) {
  const Comm comm = Comm::world();
  for (const int each : {1, comm.size()}) {  // as if every rank were a node, and as one node
    const BarrierSkew skew =
        measure_barrier_skew(comm, Topology::in_groups_of(each, comm.size()), 0.05);
    if (comm.rank() != 0 || comm.size() == 1) {
      EXPECT_TRUE(std::isnan(skew.median));
      EXPECT_TRUE(std::isnan(skew.p99));
      continue;
    }
    EXPECT_GT(skew.median, 0);
    EXPECT_GE(skew.p99, skew.median);
  }
}

TEST(BarrierFloor, is_what_a_barrier_takes_without_anybody_late) {
  const Comm comm = Comm::world();
  const double floor = measure_barrier_floor(comm);
  EXPECT_GT(floor, 0);
  EXPECT_LT(floor, 1);  // s, also where ranks share a CPU
}

}  // namespace
}  // namespace gembench
