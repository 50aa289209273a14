#include "harness/measure.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "harness/session.hpp"

namespace gembench {
namespace {

Options small_run() {
  Options options;
  options.command = "run";
  options.scale = 32;
  options.layers = 2;
  options.tokens = 96;
  options.plan_steps = 4;
  options.steps = 8;
  options.block = 4;
  options.check = "all";
  options.quiet = true;
  return options;
}

TEST(Measure, gives_every_block_of_every_placement_to_the_root) {
  const Comm comm = Comm::world();
  const Options options = small_run();
  Session session(comm, options);
  const std::vector<Placement> placements{session.linear, session.linear};
  std::vector<Block> kept;
  const RunEnd end = measure({comm, *session.device, session.model, *session.store, *session.layers,
                              session.workload, placements, options, session.clock},
                             [&](const Block& block) { kept.push_back(block); });
  EXPECT_TRUE(end.check.passed) << end.check.message;
  EXPECT_EQ(end.check.checked_tokens, 2 * 8 * 2 * comm.size())
      << "placements, steps, layers, ranks";
  EXPECT_EQ(end.moves.size(), 4U);
  if (comm.rank() != 0) {
    EXPECT_TRUE(kept.empty());
    return;
  }
  ASSERT_EQ(kept.size(), 4U);
  std::int64_t next = 0;
  for (const Block& block : kept) {
    EXPECT_EQ(block.steps, 4);
    for (const auto order : block.order) EXPECT_EQ(order, next++);
    for (const double seconds : block.step_time) EXPECT_GT(seconds, 0);
    for (const double seconds : block.time[static_cast<std::size_t>(TimeField::barrier_wait)]) {
      EXPECT_GE(seconds, 0);
    }
  }
  // Rows between ranks: every token reaches at least one rank, none a rank twice.
  const std::int64_t row = static_cast<std::int64_t>(session.layers->row_bytes());
  std::int64_t bytes = 0;
  for (const auto pair : end.bytes_pair) bytes += pair;
  EXPECT_GE(bytes, 2 * 8 * 2 * 96 * row);
  EXPECT_LE(bytes, 2 * 8 * 2 * 96 * row * std::min(4, comm.size()));
}

TEST(Measure, a_wrong_weight_fails_the_check_and_names_placement_step_layer_and_token) {
  const Comm comm = Comm::world();
  const Options options = small_run();
  Session session(comm, options);
  for (const int expert : session.linear.on_rank(0, comm.rank())) {
    Buffer& weights = session.store->held(0, expert);
    std::memset(weights.as<char>(), 0, weights.bytes());
  }
  const RunEnd end = measure({comm,
                              *session.device,
                              session.model,
                              *session.store,
                              *session.layers,
                              session.workload,
                              {session.linear},
                              options,
                              session.clock},
                             [](const Block&) {});
  EXPECT_FALSE(end.check.passed);
  EXPECT_EQ(end.check.message.find("linear step 0 layer 0 token "), 0U) << end.check.message;
}

}  // namespace
}  // namespace gembench
