#include "harness/run/session.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness/run/collective_errors.hpp"

namespace gembench {
namespace {

/// Two experts a rank and one more, so that they divide by one rank only.
RunCommand uneven_run(int ranks) {
  RunCommand options;
  options.scale = 32;
  options.layers = 2;
  options.experts = 2 * ranks + 1;
  options.topk = 2;
  options.tokens = 96;
  options.plan_steps = 4;
  options.steps = 4;
  options.profile_seconds = 0;
  options.quiet = true;
  return options;
}

TEST(Session, profiles_as_many_experts_on_every_rank_where_they_do_not_divide) {
  const Comm comm = Comm::world();
  const RunCommand options = uneven_run(comm.size());
  Progress progress;
  Session session(comm, options, progress);
  EXPECT_EQ(session.slots, 3);
  EXPECT_EQ(std::ranges::count(session.profiled.slot_expert, -1), 0);
  for (int layer = 0; layer < 2; ++layer) {
    for (int rank = 0; rank < comm.size(); ++rank) {
      const auto linear = session.linear.on_rank(layer, rank);
      EXPECT_EQ(linear[0], rank == 0 ? 0 : 2 * rank + 1);
      EXPECT_EQ(linear[2], rank == 0 ? 2 : -1) << "the first rank holds one more";
    }
  }
  const MeasuredProfile measured = session.measure_profile("nothing is kept");
  if (comm.rank() != 0) return;
  EXPECT_EQ(measured.profile.ranks, comm.size());
  EXPECT_EQ(measured.profile.slots, 3);
  validate(measured.profile);
}

TEST(Session, more_ranks_than_experts_need_replicas) {
  const Comm comm = Comm::world();
  if (comm.size() == 1) return;
  RunCommand options = uneven_run(comm.size());
  options.experts = comm.size() - 1;
  options.topk = 1;
  Progress progress;
  try {
    const Session session(comm, options, progress);
    ADD_FAILURE() << "was accepted";
  } catch (const AgreedError& error) {
    EXPECT_NE(std::string(error.what()).find("add --replicas 1"), std::string::npos);
  }
  options.replicas = 1;
  Session session(comm, options, progress);
  EXPECT_EQ(session.slots, 1);
  EXPECT_EQ(session.linear.on_rank(1, comm.size() - 1)[0], -1);
  EXPECT_EQ(session.profiled.on_rank(1, comm.size() - 1)[0], 0);
  const MeasuredProfile measured = session.measure_profile("nothing is kept");
  if (comm.rank() == 0) validate(measured.profile);
}

/// A profile reads the weights of as many placements as the run keeps in memory: with fewer, they
/// would be in caches that the run's own placements evict them from.
TEST(Session, profiles_with_the_experts_of_all_placements_in_memory) {
  const Comm comm = Comm::world();
  if (comm.size() == 1) return;  // which has all experts anyway
  RunCommand options = uneven_run(comm.size());
  options.experts = 4 * comm.size();
  std::vector<std::size_t> held;
  for (const bool resident : {false, true}) {
    options.placements = {"linear", "eplb", "gem"};
    options.resident = resident;
    if (!resident) options.block = 2;
    if (resident) options.block.reset();
    Progress progress;
    Session session(comm, options, progress);
    ASSERT_EQ(session.alternation.resident, resident);
    static_cast<void>(session.measure_profile("nothing is kept"));
    held.push_back(session.store->bytes_held());
  }
  EXPECT_GE(held[1], held[0] * 3 / 2);
}

}  // namespace
}  // namespace gembench
