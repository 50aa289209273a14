#include "harness/run/byte_costs.hpp"

#include <gtest/gtest.h>

#include "placement/base/error.hpp"

namespace gembench {
namespace {

TEST(ByteCosts, are_those_of_the_model_that_a_profile_names) {
  const MoveCostOptions by_model;
  EXPECT_EQ(expert_bytes(by_model, "deepseek-v3 bf16"), 3.0 * 7168 * 2048 * 2);
  EXPECT_EQ(expert_bytes(by_model, "deepseek-v3/4 f32"), 3.0 * 1792 * 512 * 4);
  EXPECT_EQ(expert_bytes(by_model, "deepseek-v3 fp8 (blocks), FlashInfer CUTLASS"),
            3.0 * 7168 * 2048);
  EXPECT_EQ(expert_bytes(by_model, "gpt-oss-20b mxfp4 weights, 16 bit activations"),
            3.0 * 2880 * 2880 * 17 / 32);
  EXPECT_EQ(token_bytes(0, "qwen3-30b-a3b bf16, Triton, measured with 16 ranks"), 2.0 * 2048);
  EXPECT_EQ(token_bytes(0, "deepseek-v3 fp8 (blocks)"), 0) << "it is not known how tokens travel";
  for (const char* unknown : {"any", "", "deepseek-v3", "deepseek-v3 int3", "nobody-9b bf16",
                              "gpt-oss-20b(hidden=512,ffn=256) f32", "deepseek-v3/0.5 f32"}) {
    EXPECT_THROW(static_cast<void>(expert_bytes(by_model, unknown)), Error) << unknown;
    EXPECT_EQ(token_bytes(0, unknown), 0) << unknown;
  }
  MoveCostOptions stated;
  stated.expert_bytes = 10;
  EXPECT_EQ(move_seconds(stated, "any"), 0) << "no bandwidth";
  stated.bandwidth = 5;
  EXPECT_EQ(move_seconds(stated, "any"), 2);
}

}  // namespace
}  // namespace gembench
