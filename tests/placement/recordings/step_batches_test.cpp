#include "placement/recordings/step_batches.hpp"

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using IdleEnd = StepBatches::IdleEnd;
using Counts = std::vector<std::int64_t>;

struct Result {
  std::vector<Trace> batches;
  std::vector<std::string> left_out;
};

Result collect(const RecordedShape& shape, const std::vector<Counts>& steps, IdleEnd idle_end,
               const RecordingInput& input = {{"a.rec"}, 0, 0, 0}) {
  Result result;
  const KeepSteps keep = [&](Trace batch) { result.batches.push_back(std::move(batch)); };
  StepBatches batches(input, shape, keep);
  for (const auto& step : steps) batches.add(step);
  result.left_out = batches.finish(idle_end);
  return result;
}

TEST(StepBatches, DenseLayersAndTheIdleEndAreLeftOut) {
  const RecordedShape shape{3, 2, 0, 0, {}, 3};
  const std::vector<Counts> steps{{0, 0, 0, 0, 0, 0},
                                  {0, 0, 1, 2, 3, 0},
                                  {0, 0, 0, 0, 0, 0},
                                  {0, 0, 4, 4, 8, 0},
                                  {0, 0, 0, 0, 0, 0}};
  auto result = collect(shape, steps, IdleEnd::drop);
  ASSERT_EQ(result.batches.size(), 1u);
  const auto& trace = result.batches[0];
  EXPECT_EQ(trace.steps, 4);  // idle ones between others stay
  EXPECT_EQ(trace.tokens,
            (std::vector<std::int32_t>{0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 4, 4, 8, 0}));
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(trace.model_layers, 3);
  EXPECT_EQ(trace.topk, 0);
  EXPECT_EQ(result.left_out.size(), 2u);
  EXPECT_EQ(collect(shape, steps, IdleEnd::keep).batches[0].steps, 5);
}

TEST(StepBatches, LayersKeepTheIdsTheyHave) {
  const auto given = collect({2, 1, 1, 0, {3, 9}, 0}, {{5, 5}}, IdleEnd::keep);
  EXPECT_EQ(given.batches[0].layer_ids, (std::vector<std::int32_t>{3, 9}));
  EXPECT_EQ(given.batches[0].topk, 1);
  const auto all = collect({2, 1, 0, 0, {}, 0}, {{5, 5}}, IdleEnd::keep);
  EXPECT_TRUE(all.batches[0].layer_ids.empty());
  EXPECT_EQ(all.batches[0].model_layers, 0);
  EXPECT_TRUE(all.left_out.empty());
}

TEST(StepBatches, SourcesAreKeptAndSummed) {
  const auto result = collect({1, 2, 0, 3, {}, 0}, {{1, 2, 3, 4, 5, 6}}, IdleEnd::keep);
  EXPECT_EQ(result.batches[0].tokens, (std::vector<std::int32_t>{9, 12}));
  EXPECT_EQ(result.batches[0].source_tokens, (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(result.batches[0].sources, 3);
}

TEST(StepBatches, LongRecordingsComeInBatches) {
  constexpr std::size_t kCells = std::size_t{1} << 20;
  const std::vector<Counts> steps(10, Counts(kCells, 1));
  const auto result = collect({16, kCells / 16, 0, 0, {}, 0}, steps, IdleEnd::keep);
  ASSERT_EQ(result.batches.size(), 3u);  // of 4 MiB a step
  int total = 0;
  for (const auto& batch : result.batches) {
    EXPECT_EQ(batch.tokens.size(), static_cast<std::size_t>(batch.steps) * kCells);
    EXPECT_LE(batch.tokens.size() * sizeof(std::int32_t), kBatchBytes + kCells * 4);
    total += batch.steps;
  }
  EXPECT_EQ(total, 10);
}

TEST(StepBatches, RefusesWhatCannotBe) {
  const auto refuse = [](const char* part, const RecordedShape& shape,
                         const std::vector<Counts>& steps,
                         const RecordingInput& input = {{"a.rec"}, 0, 0, 0}) {
    expect_refused(part, [&] { (void)collect(shape, steps, IdleEnd::drop, input); });
  };
  const RecordedShape shape{2, 2, 0, 0, {}, 0};
  refuse("a.rec: step 1, layer 1: a count is -1", shape, {{1, 1, 1, 1}, {1, 1, -1, 3}});
  refuse("a.rec: step 0, layer 0: a count does not fit 32 bits", shape, {{2147483648, 1, 1, 1}});
  refuse("does not fit 32 bits", shape, {{1, 1, 1LL << 40, 1}});
  refuse("a count is -9223372036854775808", shape, {{1, 1, INT64_MIN, 1}});
  refuse("does not fit 32 bits", shape, {{1, 1, INT64_MAX, 1}});
  refuse("does not fit 32 bits", {1, 1, 0, 2, {}, 0}, {{2147483647, 1}});
  refuse("step 1, layer 0: it has tokens, but had none", shape, {{0, 0, 1, 1}, {1, 1, 1, 1}});
  refuse("no token in any of its 2 steps", shape, {{0, 0, 0, 0}, {0, 0, 0, 0}});
  refuse("no token in any of its 0 steps", shape, {});
  refuse("0 layers of 2 experts", {0, 2, 0, 0, {}, 0}, {});
  refuse("experts", {1, 65537, 0, 0, {}, 0}, {});
  refuse("experts", {1, -1, 0, 0, {}, 0}, {});
  refuse("impossible size", {INT64_MAX, 65536, 0, 0, {}, 0}, {});
  refuse("more than the 16777216 counts", {1 << 13, 1 << 13, 0, 0, {}, 0}, {});
  refuse("has experts = 2 but 3 was stated", shape, {{1, 1, 1, 1}}, {{"a.rec"}, 0, 3, 0});
  refuse("has layers = 1 but 2 was stated", shape, {{0, 0, 1, 1}}, {{"a.rec"}, 2, 0, 0});
  refuse("has topk = 1 but 4 was stated", {2, 2, 1, 0, {}, 0}, {}, {{"a.rec"}, 0, 0, 4});
}

}  // namespace
}  // namespace gembench
