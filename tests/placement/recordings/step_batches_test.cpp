#include "placement/recordings/step_batches.hpp"

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using Counts = std::vector<std::int64_t>;

struct Result {
  std::vector<Trace> batches;
  std::vector<std::string> notes;
  RunTotals totals;
  int readings = 0;
};

/// What the rows of the table are built on, with a format whose file is in memory.
struct InMemory {
  RecordedShape shape;
  std::vector<Counts> steps;
  int readings = 0;
};
InMemory file;

std::vector<std::string> read_pass(const RecordingInput& input, StepPass& pass) {
  ++file.readings;
  StepBatches batches(input, file.shape, pass);
  for (const auto& step : file.steps) batches.add(step);
  return batches.finish();
}

Result collect(const RecordedShape& shape, const std::vector<Counts>& steps,
               const RecordingInput& input = {{"a.rec"}, 0, 0, 0}) {
  file = {shape, steps};
  Result result;
  const RecordingFormat format{"memory", "", nullptr, read_pass};
  result.notes =
      format.read(input, [&](Trace batch) { result.batches.push_back(std::move(batch)); });
  result.readings = file.readings;
  std::vector<std::string> notes;
  result.totals = format.read_totals(input, notes);
  EXPECT_EQ(notes, result.notes);
  return result;
}

RecordedShape ring_of(std::int64_t layers, std::int64_t experts) {
  return {layers, experts, 0, 0, {}, static_cast<int>(layers), true};
}

TEST(StepBatches, DenseLayersAndUnusedPlacesAreLeftOut) {
  const std::vector<Counts> steps{{0, 0, 0, 0, 0, 0},
                                  {0, 0, 1, 2, 3, 0},
                                  {0, 0, 0, 0, 0, 0},
                                  {0, 0, 4, 4, 8, 0},
                                  {0, 0, 0, 0, 0, 0}};
  const auto result = collect({3, 2, 0, 0, {}, 3}, steps);
  ASSERT_EQ(result.batches.size(), 1u);
  const auto& trace = result.batches[0];
  EXPECT_EQ(trace.steps, 5);  // without tokens, but steps
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{0, 0, 0, 0, 1, 2, 3, 0, 0, 0,
                                                     0, 0, 4, 4, 8, 0, 0, 0, 0, 0}));
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(trace.model_layers, 3);
  EXPECT_EQ(trace.topk, 0);
  EXPECT_EQ(result.notes.size(), 1u);
  const auto ring = collect(ring_of(3, 2), steps);
  EXPECT_EQ(ring.batches[0].tokens, (std::vector<std::int32_t>{1, 2, 3, 0, 4, 4, 8, 0}));
  ASSERT_EQ(ring.notes.size(), 2u);
  EXPECT_NE(ring.notes[1].find("left out 3 steps"), std::string::npos) << ring.notes[1];
}

/// Rings of every size, start and number of passes, as a recorder fills them.
TEST(StepBatches, TheGapOfARingTellsWhereTimeBegins) {
  for (int size = 1; size <= 7; ++size)
    for (int start = 0; start < size; ++start)
      for (int passes = 1; passes <= size; ++passes) {
        SCOPED_TRACE(::testing::Message() << size << ' ' << start << ' ' << passes);
        std::vector<Counts> places(std::size_t(size), Counts{0, 0});
        for (int pass = 0; pass < passes; ++pass)
          places[std::size_t((start + pass) % size)] = {pass + 1, 0};
        const auto result = collect(ring_of(2, 1), places);
        std::vector<std::int32_t> in_time;
        for (const auto& batch : result.batches)
          in_time.insert(in_time.end(), batch.tokens.begin(), batch.tokens.end());
        std::vector<std::int32_t> expected;
        for (int pass = 0; pass < passes; ++pass) expected.push_back(pass + 1);
        if (passes == size)  // no gap: as in the file
          std::rotate(expected.begin(), expected.end() - start, expected.end());
        EXPECT_EQ(in_time, expected);
      }
}

/// Steps without tokens, and layers that lack them in some steps, at every place.
TEST(StepBatches, ALayerIsDenseOnlyIfItHasNoTokenInAnyStep) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    const auto layers = 1 + random.below(4), steps = 1 + random.below(6);
    std::vector<Counts> file_steps(steps, Counts(layers, 0));
    for (auto& step : file_steps)
      for (auto& count : step) count = static_cast<std::int64_t>(random.below(3)) - 1;
    for (auto& step : file_steps)
      for (auto& count : step) count = std::max<std::int64_t>(count, 0);
    std::vector<std::int32_t> live;
    for (std::size_t layer = 0; layer < layers; ++layer)
      for (const auto& step : file_steps)
        if (step[layer] > 0 && (live.empty() || live.back() != int(layer)))
          live.push_back(int(layer));
    const RecordedShape shape{std::int64_t(layers), 1, 0, 0, {}, 0};
    if (live.empty()) continue;
    const auto result = collect(shape, file_steps);
    std::vector<std::int32_t> expected;
    std::vector<std::int64_t> totals(live.size(), 0);
    for (const auto& step : file_steps)
      for (std::size_t i = 0; i < live.size(); ++i) {
        const auto count = step[std::size_t(live[i])];
        expected.push_back(int(count));
        totals[i] += count;
      }
    EXPECT_EQ(result.batches.at(0).tokens, expected);
    EXPECT_EQ(result.totals.counts, totals);
    EXPECT_EQ(result.totals.shape.layers, int(live.size()));
    if (live.size() < layers) {
      EXPECT_EQ(result.batches[0].layer_ids, live);
      EXPECT_EQ(result.totals.shape.layer_ids, live);
    }
  }
}

TEST(StepBatches, OneReadingIsEnoughWhereTheFirstTokensAreInAllLayers) {
  EXPECT_EQ(collect({2, 1, 0, 0, {}, 0}, {{0, 0}, {1, 1}, {0, 2}}).readings, 1);
  EXPECT_EQ(collect({2, 1, 0, 0, {}, 0}, {{0, 1}, {1, 1}}).readings, 2);
  EXPECT_EQ(collect(ring_of(2, 1), {{1, 1}, {0, 0}, {2, 2}, {2, 2}}).readings, 3);
}

TEST(StepBatches, TotalsHave64Bits) {
  const RecordingInput input{{"a.rec"}, 0, 0, 0};
  const RecordingFormat format{"memory", "", nullptr, read_pass};
  file = {{1, 2, 0, 2, {}, 0}, {{3'000'000'000, 1, 5, 0}, {4'000'000'000, 0, 1, 1}}};
  std::vector<std::string> notes;
  const auto totals = format.read_totals(input, notes);
  EXPECT_EQ(totals.counts, (Counts{7'000'000'006, 2}));
  EXPECT_EQ(totals.shape.sources, 0);
  EXPECT_EQ(totals.shape.steps, 1);
  const auto refuse = [&](const char* part, std::vector<Counts> steps) {
    file.steps = std::move(steps);
    expect_refused(part, [&] { (void)format.read_totals(input, notes); });
  };
  refuse("64 bits", {{INT64_MAX, 0, 1, 0}});
  refuse("64 bits", {{INT64_MAX, 0, 0, 0}, {1, 0, 0, 0}});
  refuse("64 bits", {{INT64_MAX, 0, 0, 0}, {0, 0, 1, 0}});
  refuse("cannot be negative", {{INT64_MAX, 0, -1, 0}});
}

/// Expert 4 and 5 are shared ones: of 3 tokens with top-2 of 4 experts, and then of 1.
TEST(StepBatches, FusedSharedExpertsAreLeftOutIfTheModelsExpertsAreStated) {
  const RecordingInput stated{{"a.rec"}, 0, 4, 0};
  const std::vector<Counts> steps{{3, 1, 0, 2, 3, 3}, {0, 1, 1, 0, 1, 1}};
  const auto result = collect({1, 6, 0, 0, {}, 0}, steps, stated);
  EXPECT_EQ(result.batches.at(0).tokens, (std::vector<std::int32_t>{3, 1, 0, 2, 0, 1, 1, 0}));
  EXPECT_EQ(result.batches[0].topk, 2);
  EXPECT_EQ(result.totals.counts, (Counts{3, 2, 1, 2}));
  ASSERT_EQ(result.notes.size(), 1u);
  EXPECT_NE(result.notes[0].find("experts 4 to 5"), std::string::npos) << result.notes[0];
  // Top-k may be stated with the shared experts, as such engines count, or without them.
  for (const int topk : {2, 4})
    EXPECT_EQ(collect({1, 6, 0, 0, {}, 0}, steps, {{"a.rec"}, 0, 4, topk}).batches.at(0).topk, 2);
  expect_refused("has topk = 2 but 1 was stated", [&] {
    (void)collect({1, 6, 0, 0, {}, 0}, steps, {{"a.rec"}, 0, 4, 1});
  });
  const auto sources = collect({1, 3, 0, 2, {}, 0}, {{2, 1, 3, 0, 1, 1}}, {{"a.rec"}, 0, 2, 0});
  EXPECT_EQ(sources.batches.at(0).source_tokens, (std::vector<std::int32_t>{2, 1, 0, 1}));
  EXPECT_EQ(sources.batches[0].tokens, (std::vector<std::int32_t>{2, 2}));
}

TEST(StepBatches, LayersKeepTheIdsTheyHave) {
  const auto given = collect({2, 1, 1, 0, {3, 9}, 0}, {{5, 5}});
  EXPECT_EQ(given.batches[0].layer_ids, (std::vector<std::int32_t>{3, 9}));
  EXPECT_EQ(given.batches[0].topk, 1);
  const auto all = collect({2, 1, 0, 0, {}, 0}, {{5, 5}});
  EXPECT_TRUE(all.batches[0].layer_ids.empty());
  EXPECT_EQ(all.batches[0].model_layers, 0);
  EXPECT_TRUE(all.notes.empty());
}

TEST(StepBatches, SourcesAreKeptAndSummed) {
  const auto result = collect({1, 2, 0, 3, {}, 0}, {{1, 2, 3, 4, 5, 6}});
  EXPECT_EQ(result.batches[0].tokens, (std::vector<std::int32_t>{9, 12}));
  EXPECT_EQ(result.batches[0].source_tokens, (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(result.batches[0].sources, 3);
}

TEST(StepBatches, LongRecordingsComeInBatches) {
  constexpr std::size_t kCells = std::size_t{1} << 20;
  const std::vector<Counts> steps(10, Counts(kCells, 1));
  const auto result = collect({16, kCells / 16, 0, 0, {}, 0}, steps);
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
    expect_refused(part, [&] { (void)collect(shape, steps, input); });
  };
  const RecordedShape shape{2, 2, 0, 0, {}, 0};
  refuse("a.rec: step 1, layer 1: a count is -1", shape, {{1, 1, 1, 1}, {1, 1, -1, 3}});
  refuse("a.rec: step 0, layer 0: a count does not fit 32 bits", shape, {{2147483648, 1, 1, 1}});
  refuse("does not fit 32 bits", shape, {{1, 1, 1LL << 40, 1}});
  refuse("a count is -9223372036854775808", shape, {{1, 1, INT64_MIN, 1}});
  refuse("does not fit 32 bits", shape, {{1, 1, INT64_MAX, 1}});
  refuse("does not fit 32 bits", {1, 1, 0, 2, {}, 0}, {{2147483647, 1}});
  // Surplus experts that are no shared ones: not every token has them.
  refuse("experts = 3 but 2 was stated", {1, 3, 0, 0, {}, 0}, {{1, 1, 2}, {1, 1, 1}},
         {{"a.rec"}, 0, 2, 0});
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
