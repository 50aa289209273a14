// Built-in facts and generators against the data they stand for, where that is at hand.
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"
#include "placement/loads/trace_info.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/speeds/builtin_latencies.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

class Facts : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("GEMBENCH_DATA");
    data_ = named ? std::filesystem::path(named)
                  : std::filesystem::path(GEMBENCH_SOURCE_DIR) / ".." / "shared" / "data";
    if (!std::filesystem::exists(data_ / "README.md"))
      GTEST_SKIP() << "no data in " << data_ << "; set GEMBENCH_DATA to its folder";
  }

  /// Rows of a CSV, by the names in its header.
  [[nodiscard]] std::vector<std::map<std::string, std::string>> csv(const std::string& name) const {
    std::ifstream in(data_ / name);
    EXPECT_TRUE(in) << name;
    std::string line;
    std::getline(in, line);
    const auto columns = split(line);
    std::vector<std::map<std::string, std::string>> rows;
    while (std::getline(in, line)) {
      const auto cells = split(line);
      auto& row = rows.emplace_back();
      for (std::size_t i = 0; i < columns.size() && i < cells.size(); ++i)
        row[columns[i]] = cells[i];
    }
    return rows;
  }

  std::filesystem::path data_;

 private:
  static std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream in(line);
    for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
    return cells;
  }
};

TEST_F(Facts, LatenciesAreThoseMeasured) {
  const std::map<std::string, std::string> theirs{
      {"mixtral-8x7b", "Mixtral-8x7B"},       {"mixtral-8x22b", "Mixtral-8x22B"},
      {"llama-4-scout", "Llama4-Scout"},      {"qwen3-30b-a3b", "Qwen3-30B-A3B"},
      {"qwen3-235b-a22b", "Qwen3-235B-A22B"}, {"deepseek-v3", "DeepSeek-V3"},
      {"gpt-oss-20b", "GPT-OSS-20B"}};
  std::vector<double> errors;  // of linear interpolation where the table has no figure
  int figures = 0;
  for (const auto& [device, file] :
       {std::pair{"l40s", "l40s_moe_vllm_0.24.0.csv"}, {"h100", "h100_sxm_moe_vllm_0.24.0.csv"}}) {
    std::map<std::tuple<std::string, std::string, int>, std::map<int, double>> measured;
    for (auto& row : csv(std::string("aiconfigurator_moe_latency/") + file))
      if (row["distribution"] == "balanced")
        measured[{row["model"], row["dtype"], std::stoi(row["ep"])}][std::stoi(row["num_tokens"])] =
            1000 * std::stod(row["latency_ms"]);
    for (const auto& model : measured_models()) {
      if (model.device != device) continue;
      const std::string dtype = model.dtype == "bf16"          ? "bfloat16"
                                : model.model == "deepseek-v3" ? "fp8_block"
                                                               : "w4a16_mxfp4";
      for (const auto& row : model.rows) {
        const auto found = measured.find({theirs.at(std::string(model.model)), dtype, row.ranks});
        ASSERT_NE(found, measured.end()) << model.model << " " << row.ranks;
        auto left = found->second;
        for (std::size_t i = 0; i < kMeasuredTokens.size(); ++i) {
          EXPECT_NEAR(row.latencies[i] / left.at(kMeasuredTokens[i]), 1, 6e-4)
              << model.device << " " << model.model << " " << row.ranks << " "
              << kMeasuredTokens[i];
          left.erase(kMeasuredTokens[i]);
          ++figures;
        }
        for (const auto& [tokens, latency] : left) {
          const auto above =
              std::upper_bound(kMeasuredTokens.begin(), kMeasuredTokens.end(), tokens);
          const auto k = std::size_t(above - kMeasuredTokens.begin());
          const double within = double(tokens - kMeasuredTokens[k - 1]) /
                                (kMeasuredTokens[k] - kMeasuredTokens[k - 1]);
          errors.push_back(
              std::abs((row.latencies[k - 1] + within * (row.latencies[k] - row.latencies[k - 1])) /
                           latency -
                       1));
        }
      }
    }
  }
  EXPECT_EQ(figures, 88 * 19);
  EXPECT_LT(quantile(errors, 0.5), 0.01);
  EXPECT_LT(quantile(errors, 0.9), 0.05);
  RecordProperty("worst_interpolation_percent", std::to_string(100 * quantile(errors, 1)));
}

TEST_F(Facts, SlowdownsAreThoseMeasured) {
  std::map<std::string, std::vector<double>> measured;
  for (auto& row : csv("pal_gpu_variability/gpu_slowdown.csv"))
    measured[row["system_app"]].push_back(std::stod(row["slowdown_vs_median"]));
  const std::map<std::string_view, std::string> theirs{
      {"v100-sgemm", "longhorn_v100_sgemm"},
      {"v100-resnet50", "longhorn_v100_resnet50"},
      {"v100-bert", "longhorn_v100_bert"},
      {"v100-pagerank", "longhorn_v100_pagerank"},
      {"rtx5000-resnet50", "frontera_rtx5000_resnet50"},
      {"rtx5000-bert", "frontera_rtx5000_bert"},
      {"rtx5000-pagerank", "frontera_rtx5000_pagerank"},
      {"a100-resnet50", "ls6_a100_resnet50"}};
  EXPECT_EQ(theirs.size(), measured.size());
  for (const auto& set : builtin_slowdown_sets()) {
    const auto& real = measured.at(theirs.at(set.name));
    EXPECT_TRUE(set.summary.starts_with(std::to_string(real.size()) + " ")) << set.summary;
    const auto drawn = builtin_slowdowns(set.name, 20000, 1);
    for (double q : {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99})
      EXPECT_NEAR(quantile(drawn, q) / quantile(real, q), 1, q < 0.98 ? 0.005 : 0.01)
          << set.name << " " << q;
    EXPECT_LE(quantile(drawn, 1), quantile(real, 1) + 1e-4);
    EXPECT_GE(quantile(drawn, 0), quantile(real, 0) - 1e-4);
  }
}

TEST_F(Facts, RecordedLoadsHaveTheirKnownSkew) {
  const auto gpt_oss = trace_info(read_recording(
      "csv", {{data_ / "gptoss20b_decode_routing/counts_b256_shuffled.csv"}, 0, 0, 4}));
  for (const auto& layer : gpt_oss.layers) {
    EXPECT_GT(layer.skew, 1.7);
    EXPECT_LT(layer.skew, 4.0);
    EXPECT_GE(layer.step_skew, layer.skew);
  }
  const auto qwen3 = trace_info(
      read_recording("csv", {{data_ / "qwen3_30b_a3b_prefill_routing/counts_w64.csv"}, 0, 0, 8}));
  EXPECT_GT(qwen3.skew, 3);
  EXPECT_LT(qwen3.skew, 8);
  RecordProperty("gpt_oss_skew", std::to_string(gpt_oss.skew));
  RecordProperty("qwen3_skew", std::to_string(qwen3.skew));
  RecordProperty("qwen3_step_skew", std::to_string(qwen3.step_skew));
}

}  // namespace
}  // namespace gembench
