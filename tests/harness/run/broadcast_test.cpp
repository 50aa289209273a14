#include "harness/run/broadcast.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(Broadcast, a_trace_arrives_with_its_layers_and_sources) {
  const Comm comm = Comm::world();
  Trace trace;
  if (comm.rank() == 0) {
    trace.steps = trace.layers = 1;
    trace.experts = 2;
    trace.topk = 1;
    trace.tokens = {3, 1};
    trace.layer_ids = {5};
    trace.model_layers = 7;
    trace.sources = 2;
    trace.source_tokens = {2, 0, 1, 1};
    trace.source = "made";
  }
  broadcast(comm, trace);
  EXPECT_EQ(trace.layer_ids, std::vector<std::int32_t>{5});
  EXPECT_EQ(trace.model_layers, 7);
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.source_tokens, (std::vector<std::int32_t>{2, 0, 1, 1}));
  EXPECT_EQ(trace.source, "made");
}

TEST(Broadcast, placements_arrive_whole_and_as_many) {
  const Comm comm = Comm::world();
  std::vector<Placement> placements;
  if (comm.rank() == 0) placements = {{1, 2, 1, 2, {1, 0}, "gem"}, {1, 2, 1, 2, {0, 1}, "linear"}};
  broadcast(comm, placements);
  ASSERT_EQ(placements.size(), 2U);
  EXPECT_EQ(placements[0].slot_expert, (std::vector<std::int32_t>{1, 0}));
  EXPECT_EQ(placements[0].experts, 2);
  EXPECT_EQ(placements[1].strategy, "linear");
}

}  // namespace
}  // namespace gembench
