#include "moe_layer/dispatch/expert_store.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/model/weights.hpp"
#include "tests/moe_layer/support.hpp"

namespace gembench {
namespace {

/// The bytes every slot must hold: the expert's own weights, made from scratch.
void expect_right_weights(const ExpertStore& store, Device& device, const ModelShape& model,
                          const Placement& placement, int rank, std::uint64_t seed) {
  PlainExpert plain;
  Buffer fresh = device.allocate(device.expert_bytes());
  for (int layer = 0; layer < model.layers; ++layer) {
    const auto slots = store.slots(placement, layer);
    const auto experts = placement.on_rank(layer, rank);
    ASSERT_EQ(slots.size(), experts.size());
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      fill_expert(plain, seed, store.weight_layer(layer), experts[slot], model, device.dtype());
      std::memset(fresh.as<char>(), 0, fresh.bytes());
      device.load_expert(fresh, plain);
      // Compare the three matrices, not the padding between them.
      std::vector<char> held(device.expert_bytes()), made(device.expert_bytes());
      device.download(held.data(), *slots[slot], 0, held.size());
      device.download(made.data(), fresh, 0, made.size());
      const std::size_t matrix = sizeof(float) * 48 * 32;
      EXPECT_EQ(
          std::memcmp(held.data(), made.data(), device.dtype() == DType::f32 ? matrix : matrix / 2),
          0)
          << "layer " << layer << " slot " << slot;
    }
  }
}

TEST(ExpertStore, after_any_switches_every_slot_holds_its_own_expert) {
  const Comm comm = Comm::world();
  const ModelShape model = small_model(1);
  const auto device = make_cpu_device(comm, model, best_cpu_dtype());
  for (const int weight_layers : {3, 1}) {
    ExpertStore store(comm, *device, model, weight_layers, 9);
    for (std::uint64_t round = 0; round < 4; ++round) {
      const Placement placement = random_placement(model, comm.size(), round);
      const Placement* one = &placement;
      const MoveReport report = store.hold({&one, 1});
      if (round == 0 || comm.size() == 1) {
        EXPECT_EQ(report.experts_moved, 0) << "made, not moved";
      } else if (weight_layers == 3) {
        EXPECT_GT(report.experts_moved, 0);
      }
      EXPECT_EQ(report.bytes,
                report.experts_moved * static_cast<std::int64_t>(device->expert_bytes()));
      expect_right_weights(store, *device, model, placement, comm.rank(), 9);
      ASSERT_EQ(store.shared(1).size(), 1U);
    }
  }
}

TEST(ExpertStore, a_switch_moves_as_many_experts_as_change_rank) {
  const Comm comm = Comm::world();
  const ModelShape model = small_model(1);
  const auto device = make_cpu_device(comm, model, best_cpu_dtype());
  ExpertStore store(comm, *device, model, model.layers, 9);
  const Placement from = random_placement(model, comm.size(), 1);
  const Placement to = random_placement(model, comm.size(), 2);
  const Placement* one = &from;
  static_cast<void>(store.hold({&one, 1}));
  const std::size_t held = store.bytes_held();
  one = &to;
  EXPECT_EQ(store.hold({&one, 1}).experts_moved, count_moves(from, to));
  EXPECT_EQ(store.bytes_held(), held) << "nothing of the old placement is kept";
  EXPECT_EQ(store.hold({&one, 1}).experts_moved, 0) << "the same again moves nothing";
}

TEST(ExpertStore, residents_need_no_moves) {
  const Comm comm = Comm::world();
  const ModelShape model = small_model(1);
  const auto device = make_cpu_device(comm, model, best_cpu_dtype());
  ExpertStore store(comm, *device, model, model.layers, 9);
  const Placement a = random_placement(model, comm.size(), 1);
  const Placement b = random_placement(model, comm.size(), 2);
  const std::vector<const Placement*> both{&a, &b};
  static_cast<void>(store.hold(both));
  expect_right_weights(store, *device, model, a, comm.rank(), 9);
  expect_right_weights(store, *device, model, b, comm.rank(), 9);
  EXPECT_EQ(store.hold(both).experts_moved, 0);
}

}  // namespace
}  // namespace gembench
