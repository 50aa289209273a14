#include "moe_layer/layers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "moe_layer/check.hpp"
#include "tests/moe_layer/rig.hpp"

namespace gembench {
namespace {

TEST(MoeLayers, outputs_equal_the_plain_reference_under_any_placement) {
  for (const int shared : {0, 1}) {
    Rig rig(shared);
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      const Placement placement = random_placement(rig.model, rig.comm.size(), seed);
      rig.use(placement);
      rig.load();
      const CheckOutcome outcome =
          check_step(rig.comm, *rig.device, rig.model, rig.store, *rig.layers, placement, kSeed);
      EXPECT_TRUE(outcome.passed) << outcome.message;
      EXPECT_GT(outcome.tokens, 0);
    }
  }
}

TEST(MoeLayers, replicas_and_empty_slots_change_nothing_but_who_computes) {
  Rig rig(1);
  const Profile equal = equal_ranks(rig.comm.size(), kTokens * rig.model.topk);
  const CostModel cost(equal);
  const int slots = std::min(rig.model.experts, rig.model.experts / rig.comm.size() + 2);
  for (const SplitRule rule :
       {SplitRule::even, SplitRule::by_speed, SplitRule::water_fill, SplitRule::least}) {
    const Placement placement =
        replicated_placement(rig.model.layers, rig.comm.size(), rig.model.experts, slots, 11);
    EXPECT_EQ(count_duplicates(placement) > 0, rig.comm.size() > 1);
    rig.use(placement, {rule, &cost});
    rig.load();
    const CheckOutcome outcome =
        check_step(rig.comm, *rig.device, rig.model, rig.store, *rig.layers, placement, kSeed);
    EXPECT_TRUE(outcome.passed) << outcome.message;
    // Back to one location for every expert: the earlier buffers are still large enough.
    const Placement plain = random_placement(rig.model, rig.comm.size(), 3);
    rig.use(plain);
    rig.load();
    EXPECT_TRUE(
        check_step(rig.comm, *rig.device, rig.model, rig.store, *rig.layers, plain, kSeed).passed);
  }
}

TEST(MoeLayers, water_fill_meets_the_split_of_all_ranks_tokens_exactly) {
  Rig rig(0);
  Profile unequal = equal_ranks(rig.comm.size(), kTokens * rig.model.topk);
  unequal.latency.back() *= 3;
  const CostModel cost(unequal);
  const int slots = std::min(rig.model.experts, rig.model.experts / rig.comm.size() + 2);
  const Placement placement =
      replicated_placement(rig.model.layers, rig.comm.size(), rig.model.experts, slots, 5);
  rig.use(placement, {SplitRule::water_fill, &cost});
  rig.load();
  const TokenSplit split(placement, SplitRule::water_fill, &cost);
  std::vector<std::int64_t> expected(static_cast<std::size_t>(rig.comm.size()) *
                                     static_cast<std::size_t>(slots));
  for (int layer = 0; layer < rig.model.layers; ++layer) {
    static_cast<void>(rig.layers->run_layer(layer));
    split.slot_loads(rig.trace.loads(0, layer), layer, expected);
    const auto computed = rig.layers->last_slot_tokens();
    for (int slot = 0; slot < slots; ++slot) {
      EXPECT_EQ(computed[static_cast<std::size_t>(slot)],
                expected[static_cast<std::size_t>(rig.comm.rank() * slots + slot)])
          << "layer " << layer << " slot " << slot;
    }
  }
}

TEST(MoeLayers, all_tokens_agree_between_placements) {
  Rig rig(1);
  std::vector<float> first;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    const Placement placement = random_placement(rig.model, rig.comm.size(), seed);
    rig.use(placement);
    rig.load();
    std::vector<LayerReading> readings(3);
    static_cast<void>(rig.layers->run_step(readings));
    std::vector<float> outputs;
    for (int token = 0; token < rig.range.count; ++token) {
      const auto row = rig.layers->hidden_state(token);
      outputs.insert(outputs.end(), row.begin(), row.end());
    }
    if (seed == 0) first = outputs;
    const float tolerance = rig.device->dtype() == DType::f32 ? 1e-4F : 0.1F;
    ASSERT_EQ(outputs.size(), first.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) ASSERT_NEAR(outputs[i], first[i], tolerance);
  }
}

TEST(MoeLayers, the_check_finds_a_wrong_weight_and_names_layer_token_and_error) {
  Rig rig(0);
  const Placement placement = random_placement(rig.model, rig.comm.size(), 5);
  rig.use(placement);
  // Spoil every expert of layer 1 this rank holds, so that any sampled token meets one.
  for (const int expert : placement.on_rank(1, rig.comm.rank())) {
    Buffer& weights = rig.store.held(1, expert);
    std::memset(weights.as<char>(), 0, weights.bytes());
  }
  rig.load();
  const CheckOutcome outcome =
      check_step(rig.comm, *rig.device, rig.model, rig.store, *rig.layers, placement, kSeed);
  EXPECT_FALSE(outcome.passed);
  EXPECT_EQ(outcome.message.find("layer 1 token "), 0U) << outcome.message;
  EXPECT_NE(outcome.message.find("error"), std::string::npos);
}

TEST(MoeLayers, counts_are_those_of_the_trace_and_rows_go_out_once_a_rank) {
  Rig rig(0);
  const Placement placement = random_placement(rig.model, rig.comm.size(), 1);
  rig.use(placement);
  rig.load();
  std::vector<LayerReading> readings(3);
  rig.layers->clear_rows_to();
  static_cast<void>(rig.layers->run_step(readings));
  const auto ids = routed_ids(rig.trace, 0, kSeed, rig.range);
  const auto location = locations(placement);
  for (int layer = 0; layer < 3; ++layer) {
    std::int64_t expected = 0, active = 0;
    for (const int expert : placement.on_rank(layer, rig.comm.rank())) {
      const auto load = rig.trace.loads(0, layer)[static_cast<std::size_t>(expert)];
      expected += load;
      active += load > 0 ? 1 : 0;
    }
    const LayerReading& reading = readings[static_cast<std::size_t>(layer)];
    EXPECT_EQ(reading.tokens, expected);
    EXPECT_EQ(reading.active_experts, active);
    // Distinct (token, rank) pairs, counted plainly.
    std::vector<std::int64_t> rows(static_cast<std::size_t>(rig.comm.size()), 0);
    for (int token = 0; token < rig.range.count; ++token) {
      std::vector<bool> seen(rows.size(), false);
      for (int k = 0; k < 3; ++k) {
        const auto id = ids[static_cast<std::size_t>((layer * rig.range.count + token) * 3 + k)];
        seen[static_cast<std::size_t>(location[static_cast<std::size_t>(layer * 24 + id)].rank)] =
            true;
      }
      for (std::size_t rank = 0; rank < rows.size(); ++rank) rows[rank] += seen[rank] ? 1 : 0;
    }
    std::int64_t sent = 0;
    for (int rank = 0; rank < rig.comm.size(); ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      EXPECT_EQ(rig.layers->rows_to()[static_cast<std::size_t>(layer * rig.comm.size() + rank)],
                rows[r]);
      if (rank != rig.comm.rank()) sent += rows[r];
    }
    EXPECT_EQ(reading.bytes_sent, sent * static_cast<std::int64_t>(rig.layers->row_bytes()));
  }
}

TEST(MoeLayers, on_the_wall_clock_phases_and_waits_add_up_to_the_step) {
  Rig rig(0);
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  std::vector<LayerReading> readings(3);
  rig.load();
  const double step = rig.layers->run_step(readings);
  double sum = 0;
  for (const LayerReading& r : readings) {
    EXPECT_NEAR(r.layer_time,
                r.route_time + r.dispatch_time + r.expert_time + r.barrier_wait + r.combine_time,
                1e-9);
    sum += r.start_wait + r.layer_time;
  }
  EXPECT_NEAR(sum, step, step * 0.01);
}

TEST(MoeLayers, on_the_cpu_time_clock_communication_is_not_a_number) {
  Rig rig(0, Clock::cpu_time);
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  std::vector<LayerReading> readings(3);
  rig.load();
  EXPECT_TRUE(std::isnan(rig.layers->run_step(readings)));
  for (const LayerReading& r : readings) {
    EXPECT_GT(r.route_time, 0);
    EXPECT_GT(r.expert_time, 0);
    for (const double none : {r.start_time, r.start_wait, r.dispatch_time, r.barrier_wait,
                              r.combine_time, r.layer_time}) {
      EXPECT_TRUE(std::isnan(none));
    }
  }
}

}  // namespace
}  // namespace gembench
