#include "moe_layer/model/weights.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/moe_layer/support.hpp"

namespace gembench {
namespace {

TEST(Weights, depend_on_seed_layer_and_expert_only) {
  const ModelShape model = small_model(0);
  PlainExpert one, again, other;
  fill_expert(one, 1, 0, 3, model, DType::f32);
  fill_expert(again, 1, 0, 3, model, DType::f32);
  EXPECT_EQ(one.gate, again.gate);
  EXPECT_EQ(one.down, again.down);
  EXPECT_NE(one.gate, one.up);
  for (const auto& [seed, layer, expert] : {std::tuple{2, 0, 3}, {1, 1, 3}, {1, 0, 2}}) {
    fill_expert(other, static_cast<std::uint64_t>(seed), layer, expert, model, DType::f32);
    EXPECT_NE(one.gate, other.gate);
  }
}

TEST(Weights, have_the_variance_of_one_over_fan_in) {
  ModelShape model = small_model(0);
  model.hidden = 512;
  model.ffn = 256;
  PlainExpert expert;
  fill_expert(expert, 1, 0, 0, model, DType::f32);
  const auto variance = [](const std::vector<float>& values) {
    double sum = 0, squares = 0;
    for (const float v : values) {
      sum += static_cast<double>(v);
      squares += static_cast<double>(v) * static_cast<double>(v);
    }
    const auto n = static_cast<double>(values.size());
    EXPECT_NEAR(sum / n, 0, 0.001);
    return squares / n;
  };
  EXPECT_NEAR(variance(expert.gate) * 512, 1, 0.02);
  EXPECT_NEAR(variance(expert.down) * 256, 1, 0.02);
}

TEST(Weights, are_the_same_on_every_machine) {
  // Pinned bits: a change here changes every stored result.
  std::vector<float> input(4);
  fill_input(input, 1, 2, 3, 4);
  EXPECT_EQ(input,
            (std::vector<float>{-0x1.278c46p+0F, 0x1.88f46ap-1F, -0x1.7aac0ep-1F, -0x1.1dd81p-3F}));
}

TEST(Input, of_a_token_does_not_depend_on_who_makes_it) {
  std::vector<float> all(10 * 16), part(3 * 16);
  fill_input(all, 5, 7, 0, 16);
  fill_input(part, 5, 7, 4, 16);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin() + 4 * 16));
}

TEST(Bf16, rounds_to_nearest_even) {
  EXPECT_EQ(from_bf16(to_bf16(1.0F)), 1.0F);
  EXPECT_EQ(from_bf16(to_bf16(1.0F + 0x1p-8F)), 1.0F);                // tie, to even
  EXPECT_EQ(from_bf16(to_bf16(1.0F + 3 * 0x1p-8F)), 1.0F + 0x1p-6F);  // tie, to even
  EXPECT_EQ(from_bf16(to_bf16(-2.5F)), -2.5F);
  for (int i = 1; i < 1000; ++i) {
    const float value = 0.37F * static_cast<float>(i);
    EXPECT_LE(std::fabs(from_bf16(to_bf16(value)) - value), value * 0x1p-8F);
  }
}

}  // namespace
}  // namespace gembench
