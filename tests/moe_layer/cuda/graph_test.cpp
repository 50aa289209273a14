// A step as one graph: the same results, one launch, no waits, and times by stamps.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "moe_layer/mpi/clock.hpp"
#include "tests/cuda_simulation/clock.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr int kTokens = 61;  // divides by no rank count but 1

CudaRig graph_rig(const ModelShape& model, DType dtype, int tokens, double slowdown = 1,
                  const Products& products = {}) {
  return {model, dtype, tokens, "auto", slowdown, false, products, true};
}

std::vector<LayerReading> run(CudaRig& rig) {
  rig.load();
  std::vector<LayerReading> readings(static_cast<std::size_t>(rig.model.layers));
  rig.step_time = rig.layers->run_step(readings);
  return readings;
}

/// Both ways to run a step give the same bits and the same counts, also on rank's own tables.
void expect_same(CudaRig& phases, CudaRig& graph, const std::string& what) {
  for (int again = 0; again < 2; ++again) {  // another graph takes the place of the first
    const auto a = run(phases), b = run(graph);
    EXPECT_EQ(phases.layers->hidden_states(), graph.layers->hidden_states()) << what;
    EXPECT_EQ(phases.layers->last_slot_tokens(), graph.layers->last_slot_tokens()) << what;
    EXPECT_EQ(phases.layers->last_ids(), graph.layers->last_ids()) << what;
    for (std::size_t layer = 0; layer < a.size(); ++layer) {
      for (const auto& counted : kReadCounts) {
        EXPECT_EQ(a[layer].*counted.member, b[layer].*counted.member) << what << counted.key;
      }
    }
  }
  EXPECT_TRUE(std::ranges::equal(phases.layers->rows_to(), graph.layers->rows_to())) << what;
}

TEST(CudaGraph, results_have_the_bits_of_the_phases_in_every_order) {
  for (const DType dtype : {DType::f32, DType::bf16}) {  // one by one, and grouped
    CudaRig phases(small_model(2), dtype, kTokens);
    const Placement placement = random_placement(phases.model, phases.comm.size(), 2);
    phases.use(placement);
    for (std::size_t i = dtype == DType::f32 ? 0 : 1; i < kOrders.size(); i += 2) {
      const Simulated streams(kOrder, kOrders[i]);
      CudaRig graph = graph_rig(small_model(2), dtype, kTokens);
      graph.use(placement);
      phases.layers->clear_rows_to();
      expect_same(phases, graph, kOrders[i]);
    }
  }
}

TEST(CudaGraph, every_way_to_compute_experts_can_be_recorded) {
  const ModelShape model = shape(24, 3, 1, 48, 32);
  for (const char* way : {"cublas-grouped", "cublas", "cublaslt", "cutlass"}) {
    CudaRig phases(model, DType::bf16, kTokens, "auto", 1, false, {way});
    const Placement placement = random_placement(model, phases.comm.size(), 2);
    phases.use(placement);
    for (const char* order : {"late", "reverse"}) {
      const Simulated streams(kOrder, order);
      CudaRig graph = graph_rig(model, DType::bf16, kTokens, 1, {way});
      graph.use(placement);
      phases.layers->clear_rows_to();
      expect_same(phases, graph, way);
    }
  }
}

TEST(CudaGraph, replicas_and_empty_slots_are_known_before) {
  CudaRig phases(shape(24, 3, 1, 48, 32), DType::bf16, kTokens);
  CudaRig graph = graph_rig(shape(24, 3, 1, 48, 32), DType::bf16, kTokens);
  Profile unequal = equal_ranks(graph.comm.size(), kTokens * 3);
  unequal.latency.back() *= 2;
  const CostModel cost(unequal);
  const int slots = std::min(24, 24 / graph.comm.size() + 2);
  const Placement placement = replicated_placement(2, graph.comm.size(), 24, slots, 11);
  for (const SplitRule rule : {SplitRule::even, SplitRule::by_speed, SplitRule::water_fill}) {
    phases.use(placement, {rule, &cost});
    graph.use(placement, {rule, &cost});
    expect_same(phases, graph, "replicas");
  }
  // From replicas back to one of each.
  const Placement single = random_placement(graph.model, graph.comm.size(), 2);
  phases.use(single);
  graph.use(single);
  expect_same(phases, graph, "no replicas");
}

TEST(CudaGraph, ranks_without_tokens_or_experts_take_part) {
  for (const int tokens : {1, 2}) {
    CudaRig phases(shape(8, 1, 0, 16, 16), DType::f32, tokens);
    CudaRig graph = graph_rig(shape(8, 1, 0, 16, 16), DType::f32, tokens);
    const Placement placement = random_placement(graph.model, graph.comm.size(), 3);
    phases.use(placement);
    graph.use(placement);
    expect_same(phases, graph, fmt::format("{} tokens", tokens));
    for (const LayerReading& reading : run(graph)) {
      for (const double time : {reading.route_time, reading.dispatch_time, reading.expert_time,
                                reading.barrier_wait, reading.combine_time}) {
        EXPECT_GE(time, 0);
        EXPECT_LT(time, 10);
      }
    }
  }
}

TEST(CudaGraph, a_step_is_one_launch_without_waits_and_tables) {
  for (const DType dtype : {DType::bf16, DType::f32}) {
    CudaRig rig = graph_rig(small_model(0), dtype, 64);
    rig.use(random_placement(rig.model, rig.comm.size(), 1));
    static_cast<void>(run(rig));
    rig.load();
    std::vector<LayerReading> readings(static_cast<std::size_t>(rig.model.layers));
    gembench_simulation_reset_counters();
    static_cast<void>(rig.layers->run_step(readings));
    const auto counted = *gembench_simulation_counters();
    EXPECT_EQ(counted.graph_launches, 1);
    EXPECT_EQ(counted.graph_instantiations, 1);
    // Outside: the stamps of two alignments, off the clock.
    EXPECT_EQ(counted.launches, 40);
    EXPECT_EQ(counted.allocations + counted.host_allocations + counted.frees, 0);
    EXPECT_EQ(counted.graph_allocations, 0);
    EXPECT_EQ(counted.gemm_calls, 0);
    EXPECT_EQ(counted.nccl_contacts, 0);
    const std::int64_t layers = rig.model.layers;
    std::int64_t swiglu = layers;
    if (dtype == DType::f32) {  // one by one
      swiglu = 0;
      for (const LayerReading& reading : readings) swiglu += reading.active_experts;
    }
    // norm, choose, count, place, copy, slot, sort, gather, weigh, stamp, add; the end's stamp.
    EXPECT_EQ(counted.graph_kernels - swiglu, 11 * layers + 1);
    EXPECT_EQ(counted.graph_products, layers + 2 * swiglu);
    EXPECT_EQ(counted.graph_sets, 2 * layers);
    EXPECT_LE(counted.graph_copies, 3 * layers);  // own pairs and rows, own results
    EXPECT_EQ(counted.graph_exchanges, rig.comm.size() > 1 ? 2 * layers : 0);
    // All tables at once, stamps of the alignments, stamps of the step; and the wait for the step.
    EXPECT_EQ(counted.copies, 4);
    EXPECT_EQ(counted.synchronizations, 4 + (rig.comm.size() > 1 ? 0 : 1));
    EXPECT_EQ(counted.pageable_copies, 0);
  }
}

TEST(CudaGraph, phases_follow_one_another_on_the_hosts_clock_wherever_the_gpus_are) {
  const Simulated offsets("GEMBENCH_SIMULATED_CLOCK_OFFSET", "86400000000000,-123456789:1");
  const Simulated drift("GEMBENCH_SIMULATED_CLOCK_DRIFT", "50,-50:1");
  const Simulated step("GEMBENCH_SIMULATED_CLOCK_STEP", "1024");
  CudaRig rig = graph_rig(small_model(1), DType::bf16, kTokens);
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  const double before = wall_seconds();
  const auto readings = run(rig);
  const double after = wall_seconds();
  double sum = 0, end = 0;
  for (const LayerReading& reading : readings) {
    EXPECT_NEAR(reading.layer_time,
                reading.route_time + reading.dispatch_time + reading.expert_time +
                    reading.barrier_wait + reading.combine_time,
                1e-9);
    for (const double time : {reading.route_time, reading.dispatch_time, reading.expert_time,
                              reading.barrier_wait, reading.combine_time}) {
      EXPECT_GT(time, 0);
    }
    if (sum > 0) {
      EXPECT_NEAR(reading.start_time, end, 1e-9);
    }
    end = reading.start_time + reading.layer_time;
    sum += reading.layer_time;
    EXPECT_TRUE(std::isnan(reading.device_time[0]));
  }
  EXPECT_NEAR(rig.step_time, sum, 1e-9);
  // On the host's clock.
  const double error = rig.layers->stamp_error();
  EXPECT_GE(error, 1024e-9);
  EXPECT_LT(error, 1e-3);
  EXPECT_GT(readings.front().start_time, before - error);
  EXPECT_LT(end, after + error);
}

TEST(CudaGraph, a_step_whose_clock_drifts_is_where_its_middle_is) {
  const Alignment even{{100, 2, 1000}, {-100, 3, 1400}};
  EXPECT_DOUBLE_EQ(even.offset_at(1000), 100);
  EXPECT_DOUBLE_EQ(even.offset_at(1300), -50);
  EXPECT_DOUBLE_EQ(even.error(), 103);
  // The timer is 10 times as fast as the host's clock.
  const Simulated drift("GEMBENCH_SIMULATED_CLOCK_DRIFT", "9000000");
  CudaRig rig = graph_rig(small_model(1), DType::bf16, kTokens);
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  const double before = wall_seconds();
  const auto readings = run(rig);
  const double after = wall_seconds();
  const double begin = readings.front().start_time, middle = begin + rig.step_time / 2,
               error = rig.layers->stamp_error();
  EXPECT_GT(middle, before);
  EXPECT_LT(middle, after);
  EXPECT_GT(begin, before - error);
  EXPECT_LT(begin + rig.step_time, after + error);
  EXPECT_GE(error, rig.step_time * 0.9 / 2);
}

/// What to add to stamps of the virtual clock so that those of all ranks may be compared. Runs
/// another step, of stamps alone.
double to_all_ranks_clock(CudaRig& rig) {
  DeviceGraphs& graphs = *rig.device->graphs();
  const Stream stream = rig.device->make_stream();
  graphs.record(stream);
  for (int mark = 0; mark < marks_of_step(rig.model.layers); ++mark) graphs.stamp(stream, mark);
  graphs.keep(stream);
  graphs.launch(stream);
  rig.device->synchronize(stream);
  const double now = static_cast<double>(simulation::virtual_time()) * 1e-9;
  return now - graphs.stamps().back();  // as long ago on all ranks
}

/// [layer] how much later than this rank's experts those of `slow` end.
std::vector<double> behind(CudaRig& rig, double offset, int slow) {
  const auto stamps = rig.device->graphs()->stamps();
  std::vector<double> all;
  for (int layer = 0; layer < rig.model.layers; ++layer) {
    const auto end = stamps[static_cast<std::size_t>(mark_of(layer, Mark::computed))] + offset;
    all.push_back(rig.comm.max(rig.comm.rank() == slow ? end : -HUGE_VAL) - end);
  }
  return all;
}

TEST(CudaGraph, a_planted_spin_is_found_within_2_us_by_the_ranks_that_wait_for_it) {
  const Simulated clock("GEMBENCH_SIMULATED_CLOCK", "virtual");
  constexpr double kFound = 2e-6, kSlowdown = 100;
  CudaRig rig = graph_rig(small_model(1), DType::bf16, kTokens);
  const int ranks = rig.comm.size(), slow = ranks - 1;
  rig.use(random_placement(rig.model, ranks, 1));
  const double offset = to_all_ranks_clock(rig);
  static_cast<void>(run(rig));
  const auto even = run(rig);
  const auto behind_before = behind(rig, offset, slow);
  if (rig.comm.rank() == slow) rig.layers->set_slowdown(kSlowdown);
  const auto uneven = run(rig);
  const auto wait_for_slow = behind(rig, offset, slow);
  for (std::size_t layer = 0; layer < even.size(); ++layer) {
    const LayerReading &a = even[layer], &b = uneven[layer];
    const bool is_slow = rig.comm.rank() == slow;
    const auto planted = [&](double before, double with) {
      if (is_slow) {
        // From the stamp on; a piece of work takes 1 us of this clock.
        EXPECT_GT(with, kSlowdown * (before - 1.1e-6));
        EXPECT_LT(with, kSlowdown * before + kFound);
      }
      return rig.comm.max(is_slow ? with - before : 0);
    };
    const double in_route = planted(a.route_time, b.route_time),
                 in_experts = planted(a.expert_time, b.expert_time);
    if (is_slow) {
      EXPECT_LT(b.barrier_wait, a.barrier_wait + kFound);
      EXPECT_LT(b.dispatch_time, a.dispatch_time + kFound);
    } else {
      EXPECT_NEAR(b.dispatch_time, a.dispatch_time + in_route, kFound);
      EXPECT_NEAR(b.barrier_wait, a.barrier_wait + in_experts, kFound);
      // What complete_stamps() stores, as ends on one clock.
      EXPECT_NEAR(wait_for_slow[layer], behind_before[layer] + in_experts, kFound);
      EXPECT_LT(wait_for_slow[layer], b.barrier_wait);
      EXPECT_NEAR(b.route_time, a.route_time, kFound);
      EXPECT_NEAR(b.expert_time, a.expert_time, kFound);
    }
    EXPECT_NEAR(b.combine_time, a.combine_time, kFound);
  }
}

TEST(CudaGraph, a_failing_call_is_named_with_its_layer_also_in_a_recording) {
  for (const auto& [fault, call] :
       {std::pair{"cudaLaunchKernelExC:9:98", "(layer 0, "},
        std::pair{"cublasGemmGroupedBatchedEx:3:13",
                  "cublasGemmGroupedBatchedEx failed (layer 1, "
                  "experts)"},
        std::pair{"cudaStreamBeginCapture:1:1", "cudaStreamBeginCapture"},
        std::pair{"cudaStreamEndCapture:1:900", "cudaStreamEndCapture"},
        std::pair{"cudaGraphInstantiate:1:2", "cudaGraphInstantiate"},
        std::pair{"cudaGraphLaunch:1:1", "cudaGraphLaunch failed (layer 0, graph of the step)"}}) {
    CudaRig rig = graph_rig(small_model(0), DType::bf16, 64);
    rig.use(random_placement(rig.model, rig.comm.size(), 1));
    rig.load();
    std::vector<LayerReading> readings(static_cast<std::size_t>(rig.model.layers));
    const Simulated injected("GEMBENCH_SIMULATED_FAULT", fault);
    std::string text;
    try {
      static_cast<void>(rig.layers->run_step(readings));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::failed);
      text = error.what();
    }
    EXPECT_NE(text.find(fmt::format("of rank {}: ", rig.comm.rank())), std::string::npos) << fault;
    EXPECT_NE(text.find(call), std::string::npos) << text;
  }
}

TEST(CudaGraph, the_check_fails_where_a_single_bit_differs) {
  const Comm comm = Comm::world();
  const std::vector<float> zero{1, 0}, minus{1, comm.rank() == comm.size() - 1 ? -0.0F : 0.0F};
  CheckOutcome outcome;
  check_graph(comm, zero, zero, outcome);
  EXPECT_TRUE(outcome.passed);
  check_graph(comm, minus, zero, outcome);
  EXPECT_FALSE(outcome.passed);
  EXPECT_EQ(outcome.message,
            fmt::format("rank {}: the step as a graph has other results than its phases",
                        comm.size() - 1));
}

TEST(CudaGraph, a_transport_by_the_host_has_no_graphs) {
  const Comm comm = Comm::world();
  EXPECT_EQ(make_simulated(comm, small_model(0), DType::f32, "mpi")->graphs(), nullptr);
  EXPECT_THROW(CudaRig(small_model(0), DType::f32, kTokens, "mpi", 1, false, {}, true),
               std::logic_error);
}

}  // namespace
}  // namespace gembench
