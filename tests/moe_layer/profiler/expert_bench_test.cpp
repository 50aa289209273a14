#include "moe_layer/profiler/expert_bench.hpp"

#include <cmath>

#include "moe_layer/model/weights.hpp"
#include "tests/moe_layer/rig.hpp"

namespace gembench {
namespace {

/// Rows in the device's type, as f32.
std::vector<float> download(Device& device, const Buffer& rows, std::size_t values) {
  std::vector<float> plain(values);
  if (device.dtype() == DType::f32) {
    device.download(plain.data(), rows, 0, values * sizeof(float));
    return plain;
  }
  std::vector<std::uint16_t> rounded(values);
  device.download(rounded.data(), rows, 0, values * sizeof(std::uint16_t));
  std::ranges::transform(rounded, plain.begin(), from_bf16);
  return plain;
}

TEST(ExpertBench, computes_on_the_inputs_of_a_run_as_the_router_hands_them_on) {
  Rig rig(0, Clock::cpu_time);
  const Placement placement = random_placement(rig.model, rig.comm.size(), 1);
  rig.use(placement);
  constexpr std::int64_t kRows = 300;  // more than are uploaded at once
  constexpr int kStep = 4;
  ExpertBench bench(*rig.device, rig.model, kRows, {kRows, kSeed, kStep}, placement.slots);
  const auto hidden = static_cast<std::size_t>(rig.model.hidden);
  const auto rows = download(*rig.device, bench.rows(), kRows * hidden);
  std::vector<float> input(hidden);
  for (const int row : {0, 1, 255, 256, 299}) {
    fill_input(input, kSeed, kStep, row, rig.model.hidden);
    double squares = 0;
    for (const float x : input) squares += static_cast<double>(x) * x;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(hidden) + 1e-6);
    for (std::size_t i = 0; i < hidden; ++i) {
      const float has = rows[static_cast<std::size_t>(row) * hidden + i];
      EXPECT_NEAR(has, input[i] * scale, 0.01 * std::abs(input[i] * scale) + 1e-6);
    }
  }
}

TEST(ExpertBench, results_are_no_zeros) {
  Rig rig(0, Clock::cpu_time);
  const Placement placement = random_placement(rig.model, rig.comm.size(), 1);
  rig.use(placement);
  ExpertBench bench(*rig.device, rig.model, 40, {40, kSeed, 0}, placement.slots);
  const ReceivedLoad load = even_load({40, placement.slots, 0, placement.slots, 40, 1});
  EXPECT_GE(bench.seconds(load, rig.store.slots(placement, 0), Clock::cpu_time), 0);
  const auto hidden = static_cast<std::size_t>(rig.model.hidden);
  const auto results = download(*rig.device, bench.results(), 40 * hidden);
  for (std::size_t row = 0; row < 40; ++row) {
    double largest = 0;
    for (std::size_t i = 0; i < hidden; ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(results[row * hidden + i])));
    }
    EXPECT_GT(largest, 0) << row;
  }
}

}  // namespace
}  // namespace gembench
