#include <cstdlib>

#include "placement/cost/score.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/ids_file.hpp"
#include "placement/strategies/strategy.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

/// Recorded routing of gpt-oss-20b (24 layers, 32 experts, top-4), where it is at hand.
class GptOssData : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("GEMBENCH_DATA");
    const std::filesystem::path data =
        named ? std::filesystem::path(named)
              : std::filesystem::path(GEMBENCH_SOURCE_DIR) / ".." / "shared" / "data";
    folder_ = data / "gptoss20b_decode_routing";
    if (!std::filesystem::exists(folder_))
      GTEST_SKIP() << "no recorded routing in " << data << "; set GEMBENCH_DATA to its folder";
  }
  std::filesystem::path folder_;
};

TEST_F(GptOssData, CountsAreImportedAndGemBeatsLinear) {
  const auto trace = read_recording("csv", {{folder_ / "counts_b256_shuffled.csv"}, 0, 0, 4});
  EXPECT_EQ(trace.layers, 24);
  EXPECT_EQ(trace.experts, 32);
  EXPECT_EQ(trace.max_tokens_in_step(), 256);
  auto profile = equal_ranks(4, 1024);
  for (int rank = 0; rank < 4; ++rank)
    profile.latency[std::size_t(rank) * 2 + 1] *= 1 + 0.09 * rank;
  const CostModel cost(profile);
  const auto half = trace.steps / 2;
  const auto planned = slice(trace, 0, half);
  const auto later = slice(trace, half, trace.steps - half);
  const auto gem = score(later, plan_gem({planned, cost, 1}), cost);
  const auto eplb = score(later, plan_eplb({planned, cost, 1}), cost);
  const auto linear = score(later, plan_linear({planned, cost, 1}), cost);
  RecordProperty("gain_over_linear_percent",
                 std::to_string(100 * (1 - gem.step_mean / linear.step_mean)));
  RecordProperty("gain_over_eplb_percent",
                 std::to_string(100 * (1 - gem.step_mean / eplb.step_mean)));
  EXPECT_LT(gem.step_mean, eplb.step_mean);
  EXPECT_LT(gem.step_mean, linear.step_mean);
}

TEST_F(GptOssData, IdsAreImported) {
  int steps = 0;
  window_ids({{folder_ / "topk_ids.sample.u8"}, 24, 32, 4}, 256, true, [&](const Trace& trace) {
    EXPECT_NO_THROW(validate(trace));
    EXPECT_TRUE(trace.has_ids());
    EXPECT_EQ(trace.tokens_in_step(0), 256);
    steps += trace.steps;
  });
  EXPECT_EQ(steps, 39987 / 256);
}

}  // namespace
}  // namespace gembench
