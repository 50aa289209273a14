// Hierarchical dispatch on the CUDA device: the middle of it compared with the CPU device's, and
// whole layers.
#include <gtest/gtest.h>

#include <numeric>

#include "moe_layer/cpu/make_device.hpp"
#include "placement/base/index.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr int kTokens = 53;  // divides by no rank count but 1

/// What arrived at a forwarder of a node of `node_ranks`: rows from every source, some from none,
/// each with one to `topk` pairs of distinct slots of the node.
struct Arrived {
  Arrived(int sources, int node_ranks, int slots, int topk, int most_rows, std::uint64_t seed) {
    Random random(seed);
    std::vector<std::int32_t> all(sz(node_ranks * slots));
    std::iota(all.begin(), all.end(), 0);
    for (int source = 0; source < sources; ++source) {
      rows_from.push_back(
          source % 3 == 2 ? 0 : static_cast<std::int32_t>(random.below(sz(most_rows) + 1)));
      pairs_from.push_back(0);
      for (std::int32_t row = 0; row < rows_from.back(); ++row) {
        random.shuffle(all);
        const auto count = 1 + random.below(sz(std::min(topk, node_ranks * slots)));
        for (std::size_t i = 0; i < count; ++i) {
          pairs.push_back({row, all[i], static_cast<float>(random.below(1000)) / 1000});
        }
        pairs_from.back() += static_cast<std::int32_t>(count);
      }
    }
    rows = std::accumulate(rows_from.begin(), rows_from.end(), 0);
  }
  std::vector<std::int32_t> rows_from, pairs_from;
  std::vector<Pair> pairs;
  int rows = 0;
};

/// What forward() and merge() of a device make of it.
struct Passed {
  std::vector<std::int32_t> counts, row_source;
  std::vector<char> pairs, rows, results;
};

Passed pass(Device& device, const Arrived& arrived, const ModelShape& model,
            const std::vector<int>& node, int ranks, int slots) {
  const std::size_t in = sz(arrived.rows), k = sz(model.topk);
  const std::size_t out = in * std::min(k, node.size());
  const std::size_t row = sz(model.hidden) * size_of(device.dtype());
  const auto filled = [&](std::size_t bytes, int seed) {  // values between -1 and 1 of either type
    std::vector<char> content(bytes);
    Random random(static_cast<std::uint64_t>(seed));
    for (std::size_t i = 0; i < bytes / size_of(device.dtype()); ++i) {
      const float value = static_cast<float>(random.below(2001)) / 1000 - 1;
      const std::uint16_t half = to_bf16(value);
      std::memcpy(&content[i * size_of(device.dtype())],
                  device.dtype() == DType::f32 ? static_cast<const void*>(&value) : &half,
                  size_of(device.dtype()));
    }
    return content;
  };
  const auto upload = [&](const void* from, std::size_t bytes) {
    Buffer buffer = device.allocate(bytes);
    device.upload(buffer, 0, from, bytes);
    return buffer;
  };
  const auto content_in = filled(in * row, 1), content_back = filled(out * row, 2);
  const Buffer pairs = upload(arrived.pairs.data(), arrived.pairs.size() * sizeof(Pair));
  const Buffer rows = upload(content_in.data(), content_in.size());
  const Buffer returned = upload(content_back.data(), content_back.size());
  Buffer sent_rows = device.allocate(out * row), sent_pairs = device.allocate(pairs.bytes());
  Buffer row_source = device.allocate(out * sizeof(std::int32_t));
  Buffer sums = device.allocate(in * sz(model.hidden) * sizeof(float));
  Buffer results = device.allocate(in * row);
  Passed passed;
  passed.counts.assign(sz(ranks) * (2 + sz(slots)), -1);
  const Stream stream = device.make_stream();
  ForwardArgs forward;
  forward.slots = slots;
  forward.ranks = node;
  forward.rows_from = arrived.rows_from;
  forward.pairs_from = arrived.pairs_from;
  forward.rows = &rows;
  forward.pairs = &pairs;
  forward.send_rows = &sent_rows;
  forward.send_pairs = &sent_pairs;
  forward.row_source = &row_source;
  forward.counts = passed.counts;
  device.forwarding()->forward(stream, forward);
  std::size_t sent = 0;
  for (std::size_t at = 0; at < passed.counts.size(); at += 2 + sz(slots)) {
    sent += sz(passed.counts[at]);
  }
  device.forwarding()->merge(
      stream, {static_cast<int>(sent), arrived.rows, &returned, &row_source, &sums, &results});
  device.synchronize(stream);
  passed.row_source = content<std::int32_t>(device, row_source, sent);
  passed.pairs = content<char>(device, sent_pairs, sent_pairs.bytes());
  passed.rows = content<char>(device, sent_rows, sent * row);
  passed.results = content<char>(device, results, results.bytes());
  return passed;
}

TEST(CudaForwarding, forwards_and_merges_with_the_bits_of_the_cpu_device) {
  const Comm comm = Comm::world();
  struct Case {
    int node_ranks, slots, topk, hidden, most_rows;
  };
  // Rows that threads move by 16 bytes, and one by one; pairs of several blocks; one rank; nothing.
  for (const Case& one : {Case{4, 6, 3, 48, 9}, Case{3, 5, 4, 33, 20}, Case{8, 2, 8, 16, 100},
                          Case{1, 4, 2, 1100, 5}, Case{2, 3, 2, 24, 0}}) {
    const int ranks = comm.size();
    std::vector<int> node;
    for (int rank = std::max(0, ranks - one.node_ranks); rank < ranks; ++rank) node.push_back(rank);
    const int node_ranks = static_cast<int>(node.size());
    const Arrived arrived(ranks, node_ranks, one.slots, one.topk, one.most_rows,
                          sz(3 + comm.rank()));
    ModelShape model = shape(one.slots * ranks, one.topk, 0, one.hidden, 16);
    for (const DType dtype : {DType::f32, DType::bf16}) {
      if (dtype == DType::bf16 && best_cpu_dtype() != DType::bf16) continue;
      const auto cpu = make_cpu_device(comm, model, dtype);
      const auto expected = pass(*cpu, arrived, model, node, ranks, one.slots);
      const auto gpu = make_simulated(comm, model, dtype);
      const auto rows = std::int64_t{arrived.rows};
      gpu->prepare({1, 1, 1, {rows, rows * node_ranks, node_ranks}});
      for (const char* order : {"forward", "reverse", "shuffle:1"}) {
        const Simulated blocks("GEMBENCH_SIMULATED_BLOCKS", order);
        const auto got = pass(*gpu, arrived, model, node, ranks, one.slots);
        EXPECT_EQ(got.counts, expected.counts) << order;
        EXPECT_EQ(got.row_source, expected.row_source) << order;
        EXPECT_EQ(got.pairs, expected.pairs) << order;
        EXPECT_EQ(got.rows, expected.rows) << order;
        EXPECT_EQ(got.results, expected.results) << order;
      }
    }
  }
}

/// The states of a rank's tokens after one step.
std::vector<float> states(MoeLayers& layers) {
  std::vector<float> all;
  for (int token = 0; token < layers.tokens(); ++token) {
    const auto row = layers.hidden_state(token);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

/// Nodes of two and of three ranks, the last smaller where that does not divide; one node if there
/// are no more ranks.
std::vector<Topology> topologies(int ranks) {
  std::vector<Topology> all;
  for (const int each : {2, 3}) {
    if (each < ranks || all.empty()) all.push_back(Topology::in_groups_of(each, ranks));
  }
  return all;
}

/// Layers with hierarchical dispatch on the simulated device.
struct NodeRig : CudaRig {
  NodeRig(const Topology& topology, const ModelShape& the_model, DType dtype, int the_tokens,
          const std::string& transport = "auto", bool whole_steps = false)
      : CudaRig(the_model, dtype, the_tokens, transport) {
    options.whole_steps = whole_steps;
    options.seed = 3;
    options.max_tokens = range.count;
    options.receive = {tokens, tokens * model.topk};
    options.topology = topology;
    options.hierarchical = true;
    layers.reset();
    layers = std::make_unique<MoeLayers>(comm, *device, model, store, options);
  }
  LayerOptions options;
};

TEST(CudaHierarchical, outputs_and_bytes_are_those_of_the_cpu_device) {
  const Comm comm = Comm::world();
  for (const Topology& topology : topologies(comm.size())) {
    NodeRig rig(topology, small_model(1), DType::f32, kTokens);
    const auto cpu = make_cpu_device(comm, rig.model, DType::f32);
    ExpertStore store(comm, *cpu, rig.model, rig.model.layers, 3);
    MoeLayers layers(comm, *cpu, rig.model, store, rig.options);
    const Placement placement = random_placement(rig.model, comm.size(), 2);
    const Placement* one = &placement;
    static_cast<void>(store.hold({&one, 1}));
    layers.use(placement);
    layers.load_step(0, rig.range, rig.ids);
    std::vector<LayerReading> expected(sz(rig.model.layers));
    static_cast<void>(layers.run_step(expected));
    const auto got = rig.step();
    for (std::size_t layer = 0; layer < got.size(); ++layer) {
      EXPECT_EQ(got[layer].tokens, expected[layer].tokens);
      EXPECT_EQ(got[layer].bytes_sent, expected[layer].bytes_sent);
      EXPECT_EQ(got[layer].inter_node_bytes, expected[layer].inter_node_bytes);
      EXPECT_EQ(got[layer].metadata_bytes, expected[layer].metadata_bytes);
    }
    EXPECT_TRUE(std::equal(layers.rows_to().begin(), layers.rows_to().end(),
                           rig.layers->rows_to().begin()));
    const auto a = states(layers), b = states(*rig.layers);
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4F);
  }
}

TEST(CudaHierarchical, outputs_equal_the_reference_on_every_topology) {
  const Comm comm = Comm::world();
  for (const Topology& topology : topologies(comm.size())) {
    for (const char* transport : {"nccl", "mpi"}) {
      NodeRig rig(topology, small_model(0), DType::bf16, kTokens, transport);
      const CheckOutcome outcome = rig.check(random_placement(rig.model, comm.size(), 2));
      EXPECT_TRUE(outcome.passed) << transport << ": " << outcome.message;
    }
  }
}

TEST(CudaHierarchical, outputs_are_the_same_in_every_order_by_every_transport_and_in_whole_steps) {
  const Comm comm = Comm::world();
  const Topology topology = Topology::in_groups_of(2, comm.size());
  std::vector<float> expected;
  for (const char* transport : {"nccl", "mpi"}) {
    for (const bool whole : {false, true}) {
      NodeRig rig(topology, shape(8, 2, 0, 24, 16), DType::f32, 29, transport, whole);
      for (const auto& order : kOrders) {
        const Simulated streams(kOrder, order);
        const Simulated blocks("GEMBENCH_SIMULATED_BLOCKS",
                               order == "random:1" ? "shuffle:1" : "reverse");
        static_cast<void>(rig.step());
        if (expected.empty()) expected = states(*rig.layers);
        EXPECT_EQ(states(*rig.layers), expected) << transport << " " << order << " " << whole;
      }
    }
  }
}

TEST(CudaHierarchical, replicas_spare_slots_and_ranks_without_tokens) {
  const Comm comm = Comm::world();
  for (const Topology& topology : topologies(comm.size())) {
    NodeRig rig(topology, shape(24, 3, 1, 48, 32), DType::f32, kTokens);
    const int slots = std::min(24, 24 / comm.size() + 4);
    const Placement placement = replicated_placement(2, comm.size(), 24, slots, 11);
    for (const SplitRule rule : {SplitRule::even, SplitRule::water_fill}) {
      const Profile equal = equal_ranks(comm.size(), kTokens * 3);
      const CostModel cost(equal);
      const CheckOutcome outcome = rig.check(placement, {rule, &cost});
      EXPECT_TRUE(outcome.passed) << outcome.message;
    }
    NodeRig few(topology, small_model(0), DType::bf16, 1);
    EXPECT_TRUE(few.check(random_placement(few.model, comm.size(), 2)).passed);
  }
}

TEST(CudaHierarchical, a_layer_costs_as_much_as_the_readme_says) {
  for (const char* transport : {"nccl", "mpi"}) {
    const Comm comm = Comm::world();
    const bool mpi = std::string(transport) == "mpi";
    NodeRig rig(Topology::in_groups_of(2, comm.size()), small_model(0), DType::bf16, 64, transport);
    rig.use(random_placement(rig.model, comm.size(), 1));
    rig.load();
    static_cast<void>(rig.layers->run_layer(0));
    gembench_simulation_reset_counters();
    static_cast<void>(rig.layers->run_layer(1));
    const auto counted = *gembench_simulation_counters();
    EXPECT_EQ(counted.launches, 11 + 4);  // flat; count, place and copy rows; merge
    EXPECT_EQ(counted.sets, 2 + 1);
    EXPECT_TRUE(mpi || counted.copies <= 5 + 5) << counted.copies;
    EXPECT_EQ(counted.gemm_calls, 3);
    // The ends of four phases, and two waits for counts; MPI waits before each of four exchanges.
    EXPECT_EQ(counted.synchronizations, mpi ? 6 + 4 : comm.size() > 1 ? 0 : 6);
    // Two for counts; begin and end of the pieces.
    EXPECT_EQ(counted.event_records, 2 + (mpi ? 20 : 12));
    // Hops there and back; with two ranks on one node the first stays on the rank.
    EXPECT_EQ(counted.nccl_groups, mpi ? 0 : 2 * (comm.size() > 2) + 2 * (comm.size() > 1));
    EXPECT_EQ(counted.nccl_unaligned, 0);
    EXPECT_EQ(counted.nccl_contacts, 0);
    EXPECT_EQ(counted.allocations + counted.host_allocations + counted.frees, 0);
    EXPECT_EQ(counted.pageable_copies, 0);
  }
}

TEST(CudaHierarchical, nothing_is_used_for_the_first_time_after_the_rehearsal) {
  const Comm comm = Comm::world();
  NodeRig rig(Topology::in_groups_of(2, comm.size()), small_model(0), DType::bf16, 64);
  gembench_simulation_reload();  // forgets what the tests before have used
  rig.use(random_placement(rig.model, comm.size(), 1));
  rig.layers->rehearse();
  gembench_simulation_reset_counters();
  std::vector<LayerReading> readings(sz(rig.model.layers));
  for (const std::uint64_t seed : {5, 6}) {
    rig.layers->load_step(0, rig.range,
                          of_rank(random_ids(rig.model, 64, seed), rig.model, 64, rig.range));
    static_cast<void>(rig.layers->run_step(readings));
  }
  EXPECT_EQ(gembench_simulation_counters()->first_uses, 0);
  EXPECT_EQ(gembench_simulation_counters()->allocations, 0);
}

TEST(CudaHierarchical, memory_taken_is_what_was_said_before) {
  const Comm comm = Comm::world();
  const auto device = make_simulated(comm, small_model(0), DType::bf16);
  const LayerLimits limits{100, 400, 1200, {3000, 9000, 4}};
  const auto before = gembench_simulation_counters()->live_bytes;
  device->prepare(limits);
  const auto taken = gembench_simulation_counters()->live_bytes - before;
  EXPECT_GE(static_cast<std::int64_t>(device->scratch_bytes(limits)), taken * 98 / 100);
  EXPECT_LE(static_cast<std::int64_t>(device->scratch_bytes(limits)), taken * 102 / 100 + 4096);
}

}  // namespace
}  // namespace gembench
