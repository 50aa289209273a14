// Whole layers on the CUDA device, against the plain reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/profiler/profiler.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr int kTokens = 61;  // divides by no rank count but 1

TEST(CudaLayers, outputs_equal_the_reference_in_every_order_of_streams_and_blocks) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const auto& order : kOrders) {
      const Simulated streams(kOrder, order);
      const Simulated blocks("GEMBENCH_SIMULATED_BLOCKS", order == "random:1" ? "shuffle:1"
                                                          : order == "late"   ? "reverse"
                                                                              : "forward");
      CudaRig rig(small_model(2), dtype, kTokens);
      const Placement placement = random_placement(rig.model, rig.comm.size(), 2);
      const CheckOutcome outcome = rig.check(placement);
      EXPECT_TRUE(outcome.passed) << order << ": " << outcome.message;
      EXPECT_GT(outcome.tokens, 0);
      // The check's tolerance for bf16 is made for any model; these small ones stay far below.
      EXPECT_LT(outcome.worst_error, dtype == DType::f32 ? 2e-6 : 2e-2);
    }
  }
}

TEST(CudaLayers, replicas_and_empty_slots_change_nothing_but_who_computes) {
  for (const std::string& order : {kOrders.front(), kOrders.back()}) {
    const Simulated simulated(kOrder, order);
    CudaRig rig(shape(24, 3, 1, 48, 32), DType::bf16, 61);
    Profile unequal = equal_ranks(rig.comm.size(), 61 * 3);
    unequal.latency.back() *= 2;
    const CostModel cost(unequal);
    const int slots = std::min(24, 24 / rig.comm.size() + 2);
    const Placement placement = replicated_placement(2, rig.comm.size(), 24, slots, 11);
    for (const SplitRule rule : {SplitRule::even, SplitRule::by_speed, SplitRule::water_fill}) {
      const CheckOutcome outcome = rig.check(placement, {rule, &cost});
      EXPECT_TRUE(outcome.passed) << order << ": " << outcome.message;
    }
  }
}

TEST(CudaLayers, experts_move_between_ranks_by_every_transport) {
  for (const char* transport : {"nccl", "mpi"}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      CudaRig rig(small_model(0), dtype, kTokens, transport);
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        const Placement placement = random_placement(rig.model, rig.comm.size(), seed);
        const CheckOutcome outcome = rig.check(placement);
        EXPECT_TRUE(outcome.passed) << transport << ": " << outcome.message;
        // Weights as they were made, wherever they came from.
        PlainExpert plain;
        const int expert = placement.on_rank(1, rig.comm.rank())[0];
        fill_expert(plain, 3, 1, expert, rig.model, dtype);
        Buffer again = rig.device->allocate(rig.device->expert_bytes());
        rig.device->load_expert(again, plain);
        EXPECT_EQ(content<char>(*rig.device, rig.store.held(1, expert), again.bytes()),
                  content<char>(*rig.device, again, again.bytes()));
      }
    }
  }
}

/// The residual stream of all of a rank's tokens after one step.
std::vector<float> after_a_step(CudaRig& rig) {
  static_cast<void>(rig.step());
  std::vector<float> all;
  for (int token = 0; token < rig.range.count; ++token) {
    const auto row = rig.layers->hidden_state(token);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}

TEST(CudaLayers, phases_are_timed_by_events_too_within_what_the_host_reads) {
  constexpr double kWork = 1e-5;  // s, less than the simulation needs for any phase's kernels
  for (const auto& order : kOrders) {
    const Simulated streams(kOrder, order);
    CudaRig rig(small_model(1), DType::bf16, 8 * kTokens);
    for (const LayerReading& reading : rig.step()) {
      const double host[] = {reading.route_time, reading.dispatch_time, reading.expert_time,
                             reading.combine_time};
      for (std::size_t phase = 0; phase < reading.device_time.size(); ++phase) {
        EXPECT_GT(reading.device_time[phase], kWork) << order << " phase " << phase;
        EXPECT_LE(reading.device_time[phase], host[phase] + 1e-6) << order << " phase " << phase;
      }
    }
  }
}

TEST(CudaLayers, what_the_host_waits_for_is_not_the_gpus_time) {
  const Simulated streams(kOrder, "eager");  // in others nothing runs while the host waits in MPI
  constexpr double kLate =
      0.05;  // s, by which the last rank comes to dispatch: its router's product
  for (const char* transport : {"nccl", "mpi"}) {
    CudaRig rig(small_model(0), DType::bf16, kTokens, transport);
    const bool late = rig.comm.rank() == rig.comm.size() - 1;
    const Simulated slow("GEMBENCH_SIMULATED_SLOW", late ? "cublasGemmEx:0.05" : "none:0");
    // Other work may disturb a layer, or make others late too; the wait for counts is in each.
    double route = HUGE_VAL, host = 0, device = HUGE_VAL;
    for (const LayerReading& reading : rig.step()) {
      route = std::min(route, reading.device_time[0]);
      host = std::max(host, reading.dispatch_time);
      device = std::min(device, reading.device_time[1]);
    }
    EXPECT_LT(device, kLate / 2) << transport;
    if (late) {
      EXPECT_GT(route, kLate * 0.9);
    } else {
      EXPECT_GT(host, kLate / 2);
    }
  }
}

TEST(CudaLayers, whole_steps_compute_the_same_and_read_only_the_step) {
  for (const char* transport : {"nccl", "mpi"}) {
    CudaRig read(small_model(1), DType::bf16, kTokens, transport);
    const auto expected = after_a_step(read);
    for (const auto& order : kOrders) {
      const Simulated streams(kOrder, order);
      CudaRig rig(small_model(1), DType::bf16, kTokens, transport, 1, true);
      EXPECT_EQ(after_a_step(rig), expected) << transport << " " << order;
      const auto readings = rig.step();
      EXPECT_GT(rig.step_time, 0);
      for (const LayerReading& reading : readings) {
        EXPECT_TRUE(std::isnan(reading.route_time) && std::isnan(reading.barrier_wait) &&
                    std::isnan(reading.layer_time) && std::isnan(reading.device_time[0]));
        EXPECT_GT(rig.comm.sum(reading.tokens), 0);
      }
      EXPECT_TRUE(rig.check(random_placement(rig.model, rig.comm.size(), 2)).passed);
    }
  }
}

TEST(CudaLayers, inputs_are_made_on_the_gpu_with_the_bits_of_the_host) {
  for (const int hidden : {48, 33, 1100}) {
    CudaRig rig(shape(8, 2, 0, hidden, 16), DType::f32, kTokens);
    rig.use(random_placement(rig.model, rig.comm.size(), 2));
    gembench_simulation_reset_counters();
    rig.layers->load_step(7, rig.range, rig.ids);
    EXPECT_EQ(gembench_simulation_counters()->copied_bytes,
              static_cast<std::int64_t>(rig.ids.size() * sizeof(std::uint16_t)));
    std::vector<float> row(static_cast<std::size_t>(hidden));
    for (int token = 0; token < rig.range.count; ++token) {
      fill_input(row, 3, 7, rig.range.first + token, hidden);
      ASSERT_EQ(rig.layers->hidden_state(token), row) << token;
    }
  }
}

TEST(CudaLayers, tokens_counts_and_bytes_are_those_of_the_cpu_device) {
  CudaRig rig(small_model(0), DType::f32, kTokens);
  const Placement placement = random_placement(rig.model, rig.comm.size(), 1);
  const auto cpu = make_cpu_device(rig.comm, rig.model, DType::f32);
  ExpertStore store(rig.comm, *cpu, rig.model, rig.model.layers, 3);
  LayerOptions options;
  options.seed = 3;
  options.max_tokens = rig.range.count;
  options.receive = {kTokens, kTokens * rig.model.topk};
  MoeLayers layers(rig.comm, *cpu, rig.model, store, options);
  const Placement* one = &placement;
  static_cast<void>(store.hold({&one, 1}));
  layers.use(placement);
  layers.load_step(0, rig.range, rig.ids);
  rig.use(placement);
  rig.load();
  for (int layer = 0; layer < rig.model.layers; ++layer) {
    const LayerReading a = layers.run_layer(layer), b = rig.layers->run_layer(layer);
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.active_experts, b.active_experts);
    EXPECT_EQ(a.bytes_sent, b.bytes_sent);
    EXPECT_EQ(a.metadata_bytes, b.metadata_bytes);
    EXPECT_EQ(layers.last_ids(), rig.layers->last_ids());
    EXPECT_EQ(layers.last_slot_tokens(), rig.layers->last_slot_tokens());
    EXPECT_GT(b.route_time, 0);
    EXPECT_GT(b.expert_time, 0);
    EXPECT_NEAR(b.layer_time,
                b.route_time + b.dispatch_time + b.expert_time + b.barrier_wait + b.combine_time,
                1e-9);
  }
  for (int token = 0; token < rig.range.count; ++token) {
    const auto a = layers.hidden_state(token), b = rig.layers->hidden_state(token);
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4F);
  }
  EXPECT_TRUE(
      std::equal(layers.rows_to().begin(), layers.rows_to().end(), rig.layers->rows_to().begin()));
}

TEST(CudaLayers, an_emulated_slow_rank_takes_longer_by_its_factor) {
  CudaRig even(small_model(0), DType::f32, kTokens);
  const Stream stream = even.device->make_stream();
  for (const double seconds : {1e-6, 5e-3}) {
    const double begin = wall_seconds();
    even.device->spin(stream, seconds);
    even.device->synchronize(stream);
    EXPECT_GE(wall_seconds() - begin, 0.9 * seconds);
  }
  CudaRig slow(small_model(0), DType::f32, kTokens, "auto", 3.0);
  slow.use(random_placement(slow.model, slow.comm.size(), 1));
  slow.load();
  gembench_simulation_reset_counters();
  const LayerReading reading = slow.layers->run_layer(0);
  const auto launches = gembench_simulation_counters()->launches;
  EXPECT_GT(reading.expert_time, 0);
  // At least one spin after the routing and one after the experts.
  slow.load();
  CudaRig plain(small_model(0), DType::f32, kTokens);
  plain.use(random_placement(plain.model, plain.comm.size(), 1));
  plain.load();
  gembench_simulation_reset_counters();
  static_cast<void>(plain.layers->run_layer(0));
  EXPECT_GE(launches, gembench_simulation_counters()->launches + 2);
}

TEST(CudaLayers, the_profile_covers_loads_from_none_to_the_largest) {
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  const Placement placement = random_placement(rig.model, rig.comm.size(), 1);
  rig.use(placement);
  rig.load();
  ProfileOptions options;
  options.max_load = kTokens * 3;
  options.max_rows = kTokens;
  options.slots = placement.slots;
  options.budget_seconds = 0;
  const Profile profile = measure_profile(rig.comm, *rig.device, rig.model, *rig.layers, rig.store,
                                          {&placement, 1}, options)
                              .profile;
  if (rig.comm.rank() != 0) return;
  validate(profile);
  EXPECT_EQ(profile.load_points.back(), kTokens * 3);
  EXPECT_FALSE(profile.active.empty());
  EXPECT_NE(profile.device.find("simulated"), std::string::npos) << profile.device;
}

TEST(CudaDevice, weights_are_there_when_sending_returns) {
  const Comm comm = Comm::world();
  constexpr std::size_t kBytes = 1000;
  for (const char* transport : {"nccl", "mpi"}) {
    const auto device = make_simulated(comm, small_model(0), DType::f32, transport);
    const int right = (comm.rank() + 1) % comm.size();
    const int left = (comm.rank() + comm.size() - 1) % comm.size();
    Buffer out = device->allocate(kBytes), in = device->allocate(kBytes);
    const std::vector<char> mine(kBytes, static_cast<char>(comm.rank() + 1));
    device->upload(out, 0, mine.data(), kBytes);
    const Message send{out.as<char>(), kBytes, right, 3}, receive{in.as<char>(), kBytes, left, 3};
    device->send_weights({&send, 1}, {&receive, 1});
    // Simulated memory can be looked at as it is: a download would wait first.
    EXPECT_EQ(std::vector<char>(in.as<char>(), in.as<char>() + kBytes),
              std::vector<char>(kBytes, static_cast<char>(left + 1)))
        << transport;
  }
}

TEST(CudaDevice, names_its_gpu_and_how_it_sends) {
  const Comm comm = Comm::world();
  const auto nccl = make_simulated(comm, small_model(0), DType::f32, "nccl");
  const auto mpi = make_simulated(comm, small_model(0), DType::f32, "mpi");
  EXPECT_EQ(nccl->name().find("cuda: "), 0U);
  EXPECT_NE(nccl->name().find("simulated"), std::string::npos);
  EXPECT_NE(nccl->name().find("NCCL 2."), std::string::npos);
  EXPECT_NE(mpi->name().find("MPI"), std::string::npos);
  const auto facts = nccl->facts();
  const std::string uuid = facts.at("gpu_uuid");
  EXPECT_EQ(uuid.size(), 40U) << uuid;
  EXPECT_EQ(uuid.find("GPU-"), 0U);
  EXPECT_EQ(facts.at("locked_clocks"), "no");
  EXPECT_EQ(facts.at("gpu_event_floor"), "0.00 us");  // not prepared yet
  nccl->prepare({1, 1, 1});
  EXPECT_NE(nccl->facts().at("gpu_event_floor"), "0.00 us");
  const auto uuids = comm.gather(uuid);
  for (std::size_t i = 1; i < uuids.size(); ++i) EXPECT_NE(uuids[i], uuids[0]);
  EXPECT_GT(nccl->memory_left(), 0U);
}

}  // namespace
}  // namespace gembench
