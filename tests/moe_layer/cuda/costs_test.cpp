// Launches, waits, allocations and bytes of a layer: what moe_layer/cuda/README.md says.
#include <gtest/gtest.h>

#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr int kTokens = 64;

GembenchSimulationCounters of_layer(CudaRig& rig) {
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  rig.load();
  static_cast<void>(rig.layers->run_layer(0));
  gembench_simulation_reset_counters();
  static_cast<void>(rig.layers->run_layer(1));
  return *gembench_simulation_counters();
}

/// What the README's table adds up to.
constexpr std::int64_t kRouteLaunches = 2, kPackLaunches = 3, kExpertLaunches = 5,
                       kCombineLaunches = 1;

TEST(CudaCosts, a_layer_with_grouped_experts_is_as_the_readme_says) {
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  const auto counted = of_layer(rig);
  EXPECT_EQ(counted.launches, kRouteLaunches + kPackLaunches + kExpertLaunches + kCombineLaunches);
  EXPECT_EQ(counted.gemm_calls, 3);  // gate, then gate|up and down of all experts
  // The ends of route, dispatch, experts and combine are read by the clock; pack waits for counts.
  // With peers all waits are polls.
  EXPECT_EQ(counted.synchronizations, rig.comm.size() > 1 ? 0 : 5);
  EXPECT_EQ(counted.event_records, 1 + 10);  // pack's counts; begin and end of the pieces
  EXPECT_EQ(counted.allocations, 0);
  EXPECT_EQ(counted.host_allocations, 0);
  EXPECT_EQ(counted.frees, 0);
  // Counts to the host, the experts' table to the device; own pairs and rows, own results.
  EXPECT_LE(counted.copies, 5);
  EXPECT_GE(counted.copies, 2);
  EXPECT_EQ(counted.pageable_copies, 0);
  EXPECT_EQ(counted.sets, 2);  // counts that kernels add to
  EXPECT_EQ(counted.nccl_groups, rig.comm.size() > 1 ? 2 : 0);
  EXPECT_EQ(counted.event_waits, 0);
}

TEST(CudaCosts, a_layer_with_experts_one_by_one_has_two_products_for_each) {
  CudaRig rig(small_model(0), DType::f32, kTokens);
  const auto counted = of_layer(rig);
  std::int64_t active = 0;
  for (const auto tokens : rig.layers->last_slot_tokens()) active += tokens > 0 ? 1 : 0;
  EXPECT_EQ(counted.gemm_calls, 1 + 2 * active);
  EXPECT_EQ(counted.launches,
            kRouteLaunches + kPackLaunches + kExpertLaunches - 1 + active + kCombineLaunches);
  EXPECT_EQ(counted.event_waits, 8);  // four streams, there and back
  EXPECT_EQ(counted.allocations, 0);
}

TEST(CudaCosts, a_whole_step_waits_for_counts_and_for_its_end_only) {
  CudaRig rig(small_model(0), DType::bf16, kTokens, "mpi", 1, true);
  static_cast<void>(rig.step());
  rig.load();
  std::vector<LayerReading> readings(static_cast<std::size_t>(rig.model.layers));
  gembench_simulation_reset_counters();
  static_cast<void>(rig.layers->run_step(readings));
  const auto counted = *gembench_simulation_counters();
  // MPI waits before each of its two exchanges.
  EXPECT_EQ(counted.synchronizations, rig.model.layers * (1 + 2) + 1);
  EXPECT_EQ(counted.event_records, rig.model.layers);
  EXPECT_EQ(counted.allocations, 0);
}

TEST(CudaCosts, shared_experts_add_two_products_and_one_launch_each) {
  CudaRig without(small_model(0), DType::bf16, kTokens), with(small_model(2), DType::bf16, kTokens);
  const auto a = of_layer(without), b = of_layer(with);
  EXPECT_EQ(b.launches, a.launches + 2);
  EXPECT_EQ(b.gemm_calls, a.gemm_calls + 4);
  EXPECT_EQ(b.synchronizations, a.synchronizations);
}

TEST(CudaCosts, mpi_waits_for_the_stream_before_it_sends) {
  CudaRig rig(small_model(0), DType::bf16, kTokens, "mpi");
  const auto counted = of_layer(rig);
  EXPECT_EQ(counted.synchronizations, 5 + 2);
  EXPECT_EQ(counted.event_records, 1 + 14);
  EXPECT_EQ(counted.nccl_groups, 0);
  EXPECT_EQ(counted.allocations, 0);
  EXPECT_EQ(counted.host_allocations, 0);
  EXPECT_EQ(counted.pageable_copies, 0);
}

TEST(CudaCosts, nccl_sends_each_row_and_pair_once) {
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  const auto counted = of_layer(rig);
  const LayerReading reading = rig.layers->run_layer(1);
  const auto rows_and_pairs = static_cast<std::int64_t>(
      reading.bytes_sent + reading.metadata_bytes -
      (rig.comm.size() - 1) * (2 + rig.model.experts / rig.comm.size()) * 4);
  // What came in goes back.
  std::int64_t returned = 0;
  const std::vector<std::int64_t> sent{reading.bytes_sent};
  returned = rig.comm.sum(sent[0]);
  EXPECT_EQ(rig.comm.sum(counted.nccl_sent_bytes), rig.comm.sum(rows_and_pairs) + returned);
}

TEST(CudaCosts, no_message_is_moved_byte_by_byte_and_no_two_ranks_meet_in_a_layer) {
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  const auto counted = of_layer(rig);
  EXPECT_EQ(counted.nccl_unaligned, 0);
  EXPECT_EQ(counted.nccl_contacts, 0);
}

TEST(CudaCosts, nothing_is_used_for_the_first_time_after_the_rehearsal) {
  // In the second, all ranks but the last have 32 tokens, and the last one less: its products are
  // of smaller sizes.
  const int uneven = 32 * Comm::world().size() - 1;
  for (const auto& [dtype, tokens, graph] : {std::tuple{DType::f32, kTokens, false},
                                             {DType::bf16, uneven, false},
                                             {DType::bf16, uneven, true}}) {
    CudaRig rig(small_model(1), dtype, tokens, "auto", 1, false, {}, graph);
    gembench_simulation_reload();  // forgets what the tests before have used
    rig.use(random_placement(rig.model, rig.comm.size(), 1));
    rig.layers->rehearse();
    gembench_simulation_reset_counters();
    std::vector<LayerReading> readings(static_cast<std::size_t>(rig.model.layers));
    for (const std::uint64_t seed : {5, 6, 7}) {  // other loads
      const auto ids = of_rank(random_ids(rig.model, tokens, seed), rig.model, tokens, rig.range);
      rig.layers->load_step(0, rig.range, ids);
      static_cast<void>(rig.layers->run_step(readings));
    }
    // A graph's upload, before its launch.
    EXPECT_EQ(gembench_simulation_counters()->first_uses, graph ? 3 : 0);
    EXPECT_EQ(gembench_simulation_counters()->allocations, 0);
  }
}

TEST(CudaCosts, memory_taken_is_what_was_said_before) {
  const Comm comm = Comm::world();
  const auto device = make_simulated(comm, small_model(0), DType::bf16);
  const LayerLimits limits{100, 400, 1200};
  const auto before = gembench_simulation_counters()->live_bytes;
  device->prepare(limits);
  const auto taken = gembench_simulation_counters()->live_bytes - before;
  EXPECT_GE(static_cast<std::int64_t>(device->scratch_bytes(limits)), taken * 98 / 100);
  EXPECT_LE(static_cast<std::int64_t>(device->scratch_bytes(limits)), taken * 102 / 100 + 4096);
}

}  // namespace
}  // namespace gembench
