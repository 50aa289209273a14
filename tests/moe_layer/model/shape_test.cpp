#include "moe_layer/model/shape.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "placement/base/error.hpp"

namespace gembench {
namespace {

TEST(Models, all_presets_are_valid_and_found_by_name) {
  ASSERT_GE(model_presets().size(), 21U);
  for (const ModelShape& model : model_presets()) {
    EXPECT_NO_THROW(validate(model)) << model.name;
    EXPECT_EQ(&find_model(model.name), &model) << "named twice";
  }
}

TEST(Models, dense_layers_come_before_the_others) {
  const ModelShape model = find_model("deepseek-v3");
  EXPECT_EQ(model.dense, 3);
  EXPECT_EQ(model.dense + model.layers, 61);
  EXPECT_EQ(find_model("gpt-oss-20b").dense, 0);
}

TEST(Models, scaling_shrinks_widths_to_multiples_of_16_and_nothing_else) {
  const ModelShape whole = find_model("gpt-oss-20b");
  const ModelShape small = scaled(whole, 4);
  EXPECT_EQ(small.hidden, 720);
  EXPECT_EQ(small.ffn, 720);
  EXPECT_EQ(small.experts, whole.experts);
  EXPECT_EQ(small.topk, whole.topk);
  EXPECT_EQ(small.layers, whole.layers);
  EXPECT_EQ(small.name, "gpt-oss-20b/4");
  EXPECT_EQ(scaled(whole, 1000).hidden, 16);
  EXPECT_EQ(scaled(whole, 1).hidden, 2880);
}

TEST(Models, nonsense_is_refused_with_what_is_known) {
  EXPECT_THROW(static_cast<void>(scaled(find_model("gpt-oss-20b"), 0.5)), Error);
  EXPECT_THROW(static_cast<void>(scaled(find_model("gpt-oss-20b"), NAN)), Error);
  try {
    static_cast<void>(find_model("gpt-5"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("mixtral-8x7b"), std::string::npos);
  }
  ModelShape model = find_model("mixtral-8x7b");
  model.topk = 9;
  EXPECT_THROW(validate(model), Error);
}

}  // namespace
}  // namespace gembench
