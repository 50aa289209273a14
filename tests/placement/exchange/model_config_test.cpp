#include "placement/exchange/model_config.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "placement/base/error.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_error;

std::vector<std::int32_t> range(int first, int end) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(end - first));
  std::iota(all.begin(), all.end(), first);
  return all;
}

TEST(ModelConfig, reads_the_names_that_models_use) {
  const ModelConfig deepseek = read_model_config(
      R"({"model_type": "deepseek_v3", "hidden_size": 64, "intermediate_size": 160,
          "moe_intermediate_size": 16, "n_routed_experts": 8, "num_experts_per_tok": 2,
          "n_shared_experts": 1, "num_hidden_layers": 6, "first_k_dense_replace": 2,
          "moe_layer_freq": 1, "rope_scaling": {"factor": 4.5}})");
  EXPECT_EQ(deepseek.type, "deepseek_v3");
  EXPECT_EQ(deepseek.moe_layers, range(2, 6));
  EXPECT_EQ(deepseek.model_layers, 6);
  EXPECT_EQ(deepseek.experts, 8);
  EXPECT_EQ(deepseek.topk, 2);
  EXPECT_EQ(deepseek.shared, 1);
  EXPECT_EQ(deepseek.hidden, 64);
  EXPECT_EQ(deepseek.ffn, 16);

  // Mixtral's and gpt-oss's experts have the only width there is.
  const ModelConfig mixtral = read_model_config(
      R"({"hidden_size": 64, "intermediate_size": 160, "num_local_experts": 8,
          "num_experts_per_tok": 2, "num_hidden_layers": 3})");
  EXPECT_EQ(mixtral.moe_layers, range(0, 3));
  EXPECT_EQ(mixtral.ffn, 160);
  EXPECT_EQ(mixtral.shared, 0);

  const ModelConfig ernie = read_model_config(
      R"({"hidden_size": 64, "intermediate_size": 160, "moe_intermediate_size": 32,
          "moe_num_experts": 64, "moe_k": 6, "moe_num_shared_experts": 2, "num_hidden_layers": 10,
          "moe_layer_start_index": 1, "moe_layer_end_index": 8, "moe_layer_interval": 1})");
  EXPECT_EQ(ernie.moe_layers, range(1, 9));
  EXPECT_EQ(ernie.topk, 6);
  EXPECT_EQ(ernie.shared, 2);

  // Hunyuan has a number for each layer, Qwen a width for its shared expert, Nemotron a wide one.
  EXPECT_EQ(read_model_config(R"({"hidden_size": 64, "moe_intermediate_size": [32, 32],
                "num_experts": 4, "moe_topk": [2, 2], "num_shared_expert": [1, 1],
                "num_hidden_layers": 2})")
                .shared,
            1);
  EXPECT_EQ(read_model_config(R"({"hidden_size": 64, "moe_intermediate_size": 32,
                "num_experts": 4, "num_experts_per_tok": 2, "shared_expert_intermediate_size": 32,
                "num_hidden_layers": 2, "decoder_sparse_step": 1, "mlp_only_layers": []})")
                .shared,
            1);
  EXPECT_EQ(read_model_config(R"({"hidden_size": 64, "moe_intermediate_size": 32,
                "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
                "moe_shared_expert_intermediate_size": 64, "num_hidden_layers": 2})")
                .shared,
            2);
}

TEST(ModelConfig, knows_widths_and_names_of_few_models) {
  // Nemotron's experts work on a smaller width; Granite says its shared expert's.
  EXPECT_EQ(read_model_config(R"({"hidden_size": 4096, "moe_latent_size": 1024,
                "moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2,
                "num_hidden_layers": 2})")
                .hidden,
            1024);
  EXPECT_EQ(read_model_config(R"({"hidden_size": 64, "intermediate_size": 768,
                "shared_intermediate_size": 1536, "num_local_experts": 4,
                "num_experts_per_tok": 2, "num_hidden_layers": 2})")
                .shared,
            2);
  const ModelConfig omni = read_model_config(
      R"({"thinker_config": {"text_config": {"hidden_size": 64, "moe_intermediate_size": 32,
          "num_routed_experts": 4, "moe_top_k": 2, "num_hidden_layers": 2}}})");
  EXPECT_EQ(omni.experts, 4);
  EXPECT_EQ(omni.topk, 2);
}

TEST(ModelConfig, knows_which_layers_have_experts) {
  const auto layers = [](const std::string& more) {
    return read_model_config(R"({"text_config": {"hidden_size": 64, "intermediate_size": 32,
               "num_local_experts": 4, "num_experts_per_tok": 1, "num_hidden_layers": 6, )" +
                             more + "}}")
        .moe_layers;
  };
  using List = std::vector<std::int32_t>;
  EXPECT_EQ(layers(R"("interleave_moe_layer_step": 2)"), (List{1, 3, 5}));
  EXPECT_EQ(layers(R"("decoder_sparse_step": 3)"), (List{2, 5}));
  EXPECT_EQ(layers(R"("moe_layer_interval": 2, "moe_layer_start_index": 2)"), (List{3, 5}));
  EXPECT_EQ(layers(R"("moe_layer_frequency": 2)"), (List{1, 3, 5}));
  EXPECT_EQ(layers(R"("mlp_layer_types": ["dense", "sparse", "sparse", "dense"])"), (List{1, 2}));
  EXPECT_EQ(layers(R"("layers_block_type": ["mamba", "moe", "attention", "moe"])"), (List{1, 3}));
  EXPECT_EQ(layers(R"("layers_block_type": ["mamba", "attention"])"), range(0, 6));
  EXPECT_EQ(layers(R"("is_moe_layer": [false, true, false, true, true, true])"),
            (List{1, 3, 4, 5}));
  EXPECT_EQ(layers(R"("moe_layer_freq": [false, true, true, false, false, false])"), (List{1, 2}));
  EXPECT_EQ(layers(R"("mlp_only_layers": [0, 4])"), (List{1, 2, 3, 5}));
  EXPECT_EQ(layers(R"("moe_layers": [1, 5])"), (List{1, 5}));
  EXPECT_EQ(layers(R"("moe_layer_freq": [0, 1, 1, 0, 0, 1])"), (List{1, 2, 5}));
  EXPECT_EQ(layers(R"("moe_layer_freq": 2)"), (List{0, 2, 4}));
  EXPECT_EQ(layers(R"("hybrid_override_pattern": "MEM*EM")"), (List{1, 4}));
  EXPECT_EQ(layers(R"("first_k_dense_replace": null)"), range(0, 6));
  EXPECT_EQ(layers(R"("moe_layer_start_index": 2, "moe_layer_end_index": -1)"), range(2, 6));
  EXPECT_EQ(layers(R"("expert_layer_period": 2, "expert_layer_offset": 1)"), (List{1, 3, 5}));
}

TEST(ModelConfig, refuses_what_states_no_moe_model) {
  const auto refused = [](const std::string& text, const std::string& sentence) {
    expect_error(ExitCode::usage, sentence, [&] { static_cast<void>(read_model_config(text)); });
  };
  const std::string rest = R"("hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2)";
  refused("[]", "it is no config.json of a model");
  refused("{" + rest + "}", "it is no config.json of a MoE model");
  refused(R"({"num_experts": 4, )" + rest + "}", "it has none of num_experts_per_tok");
  refused(R"({"num_experts": 4, "num_experts_per_tok": 5, )" + rest + "}", "num_experts_per_tok");
  refused(R"({"num_experts": -4, "num_experts_per_tok": 1, )" + rest + "}", "num_experts");
  refused(R"({"num_experts": [4, 8], "num_experts_per_tok": 1, )" + rest + "}",
          "its layers differ in num_experts");
  refused(
      R"({"num_experts": 4, "num_experts_per_tok": 1, "first_k_dense_replace": 2, )" + rest + "}",
      "none of its layers has experts");
  refused(
      R"({"num_experts": 4, "num_experts_per_tok": 1, "hidden_size": 64, "intermediate_size": 32,
              "num_hidden_layers": 1000000000})",
      "num_hidden_layers");
}

}  // namespace
}  // namespace gembench
