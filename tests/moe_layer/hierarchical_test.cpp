#include <gtest/gtest.h>

#include <memory>

#include "moe_layer/check.hpp"
#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/layers.hpp"
#include "moe_layer/mpi/clock_offset.hpp"
#include "placement/base/index.hpp"
#include "tests/moe_layer/support.hpp"

namespace gembench {
namespace {

constexpr std::uint64_t kSeed = 11;
constexpr int kTokens = 53;  // divides by no rank count but 1

/// Even loads; only the dispatch is of interest here.
Trace even_trace(const ModelShape& model) {
  Trace trace;
  trace.steps = 1;
  trace.layers = model.layers;
  trace.experts = model.experts;
  trace.topk = model.topk;
  const int pairs = kTokens * model.topk;
  for (int i = 0; i < model.layers * model.experts; ++i) {
    const int e = i % model.experts;
    trace.tokens.push_back(pairs / model.experts + (e < pairs % model.experts ? 1 : 0));
  }
  validate(trace);
  return trace;
}

struct Rig {
  Rig(const Topology& topology, bool hierarchical)
      : model(small_model(1)),
        device(make_cpu_device(comm, model, best_cpu_dtype())),
        store(comm, *device, model, model.layers, kSeed),
        trace(even_trace(model)),
        range(local_tokens(kTokens, comm.rank(), comm.size())) {
    LayerOptions options;
    options.seed = kSeed;
    options.max_tokens = range.count;
    options.receive = {kTokens, kTokens * model.topk};
    options.topology = topology;
    options.hierarchical = hierarchical;
    layers = std::make_unique<MoeLayers>(comm, *device, model, store, options);
  }
  void use(const Placement& placement) {
    const Placement* one = &placement;
    static_cast<void>(store.hold({&one, 1}));
    layers->use(placement);
    layers->load_step(0, range, ids_of(comm.rank()));
  }
  /// [layer][token][k] of any rank's tokens.
  [[nodiscard]] std::vector<std::uint16_t> ids_of(int rank) const {
    return routed_ids(trace, 0, kSeed, local_tokens(kTokens, rank, comm.size()));
  }
  [[nodiscard]] std::vector<LayerReading> run() {
    std::vector<LayerReading> readings(sz(model.layers));
    layers->clear_rows_to();
    static_cast<void>(layers->run_step(readings));
    return readings;
  }

  Comm comm = Comm::world();
  ModelShape model;
  std::unique_ptr<Device> device;
  ExpertStore store;
  Trace trace;
  TokenRange range;
  std::unique_ptr<MoeLayers> layers;
};

/// One topology, with a rig for each way to dispatch: made once, since devices take long to make.
struct Case {
  explicit Case(const Topology& nodes) : topology(nodes), flat(nodes, false), rig(nodes, true) {}
  Topology topology;
  Rig flat, rig;
};

/// Nodes of two and of three ranks, the last smaller where that does not divide, and one node.
class Hierarchical : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const int ranks = Comm::world().size();
    for (const int each : {2, 3, ranks}) {
      if (each == ranks && !cases.empty() && ranks <= 3) continue;
      cases.push_back(std::make_unique<Case>(Topology::in_groups_of(each, ranks)));
    }
  }
  static void TearDownTestSuite() { cases.clear(); }
  static inline std::vector<std::unique_ptr<Case>> cases;
};

TEST_F(Hierarchical, outputs_equal_the_plain_reference_and_those_of_flat_dispatch) {
  for (const auto& one : cases) {
    Rig &rig = one->rig, &flat = one->flat;
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
      const Placement placement = random_placement(rig.model, rig.comm.size(), seed);
      rig.use(placement);
      const CheckOutcome outcome =
          check_step(rig.comm, *rig.device, rig.model, rig.store, *rig.layers, placement, kSeed);
      EXPECT_TRUE(outcome.passed) << one->topology.nodes() << " nodes: " << outcome.message;

      rig.use(placement);
      flat.use(placement);
      const auto detour = rig.run(), direct = flat.run();
      const float tolerance = rig.device->dtype() == DType::f32 ? 1e-4F : 0.1F;
      for (int token = 0; token < rig.range.count; ++token) {
        const auto a = rig.layers->hidden_state(token), b = flat.layers->hidden_state(token);
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance);
      }
      for (std::size_t layer = 0; layer < direct.size(); ++layer) {
        EXPECT_EQ(detour[layer].tokens, direct[layer].tokens);
        EXPECT_EQ(detour[layer].active_experts, direct[layer].active_experts);
      }
    }
  }
}

/// Counts plainly what every rank sends: for each token of each source, the nodes it goes to, and
/// there the ranks. [source or forwarder][destination] of one layer.
std::vector<std::vector<std::int64_t>> rows_by_hand(const Rig& rig, const Topology& topology,
                                                    const Placement& placement, int layer) {
  const int ranks = rig.comm.size();
  std::vector<std::vector<std::int64_t>> rows(sz(ranks), std::vector<std::int64_t>(sz(ranks), 0));
  const auto location = locations(placement);
  for (int source = 0; source < ranks; ++source) {
    const int tokens = local_tokens(kTokens, source, ranks).count;
    const auto ids = rig.ids_of(source);
    for (int token = 0; token < tokens; ++token) {
      std::vector<bool> to_rank(sz(ranks), false), to_node(sz(topology.nodes()), false);
      for (int k = 0; k < rig.model.topk; ++k) {
        const auto id = ids[sz((layer * tokens + token) * rig.model.topk + k)];
        const int rank = location[sz(layer * rig.model.experts + id)].rank;
        to_rank[sz(rank)] = to_node[sz(topology.node(rank))] = true;
      }
      for (int node = 0; node < topology.nodes(); ++node) {
        if (!to_node[sz(node)]) continue;
        const int forwarder = topology.forwarder(source, node);
        ++rows[sz(source)][sz(forwarder)];
        for (const int rank : topology.ranks_of(node)) {
          if (to_rank[sz(rank)]) ++rows[sz(forwarder)][sz(rank)];
        }
      }
    }
  }
  return rows;
}

/// What crosses to other nodes by rows_to() of a layer.
std::int64_t crossing(const Rig& rig, const Topology& topology, int layer) {
  std::int64_t rows = 0;
  for (int rank = 0; rank < rig.comm.size(); ++rank) {
    if (topology.node(rank) == topology.node(rig.comm.rank())) continue;
    rows += rig.layers->rows_to()[sz(layer * rig.comm.size() + rank)];
  }
  return rows * static_cast<std::int64_t>(rig.layers->row_bytes());
}

TEST_F(Hierarchical, a_token_crosses_to_a_node_once_and_reaches_each_rank_there_once) {
  for (const auto& one : cases) {
    Rig& rig = one->rig;
    const Placement placement = random_placement(rig.model, rig.comm.size(), 7);
    rig.use(placement);
    const auto readings = rig.run();
    for (int layer = 0; layer < rig.model.layers; ++layer) {
      const auto rows = rows_by_hand(rig, one->topology, placement, layer)[sz(rig.comm.rank())];
      std::int64_t sent = 0;
      for (int rank = 0; rank < rig.comm.size(); ++rank) {
        EXPECT_EQ(rig.layers->rows_to()[sz(layer * rig.comm.size() + rank)], rows[sz(rank)]);
        if (rank != rig.comm.rank()) sent += rows[sz(rank)];
      }
      EXPECT_EQ(readings[sz(layer)].bytes_sent,
                sent * static_cast<std::int64_t>(rig.layers->row_bytes()));
      EXPECT_EQ(readings[sz(layer)].inter_node_bytes, crossing(rig, one->topology, layer));
    }
  }
}

TEST_F(Hierarchical, no_more_crosses_than_in_flat_dispatch) {
  for (const auto& one : cases) {
    const Placement placement = random_placement(one->rig.model, one->rig.comm.size(), 7);
    std::int64_t crossed[2] = {0, 0};
    for (Rig* rig : {&one->flat, &one->rig}) {
      rig->use(placement);
      const auto readings = rig->run();
      for (int layer = 0; layer < rig->model.layers; ++layer) {
        const auto bytes = readings[sz(layer)].inter_node_bytes;
        EXPECT_EQ(bytes, crossing(*rig, one->topology, layer));
        crossed[rig == &one->rig] += bytes;
      }
    }
    EXPECT_LE(crossed[1], crossed[0]);
    EXPECT_EQ(crossed[0] > 0, one->topology.nodes() > 1);
  }
}

TEST(ClockOffset, of_ranks_that_read_one_clock_is_0_within_its_error) {
  const Comm comm = Comm::world();
  const auto offsets = clock_offsets(comm, Topology::in_groups_of(1, comm.size()));
  ASSERT_EQ(offsets.size(), comm.rank() == 0 ? sz(comm.size()) : 0U);
  for (std::size_t rank = 0; rank < offsets.size(); ++rank) {
    EXPECT_LE(std::abs(offsets[rank].seconds), offsets[rank].error);
    EXPECT_EQ(offsets[rank].error > 0, rank > 0) << "a message takes time";
    EXPECT_LT(offsets[rank].error, 1);
  }
  for (const auto& one : clock_offsets(comm, Topology::in_groups_of(comm.size(), comm.size()))) {
    EXPECT_EQ(one.seconds, 0) << "one node, one clock";
    EXPECT_EQ(one.error, 0);
  }
}

}  // namespace
}  // namespace gembench
