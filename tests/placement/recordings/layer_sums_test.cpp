#include "placement/recordings/layer_sums.hpp"

#include <numeric>

#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

/// One step of layers as given.
Trace step_of(const std::vector<std::vector<std::int32_t>>& layers, int topk) {
  Trace trace;
  trace.steps = 1;
  trace.layers = static_cast<int>(layers.size());
  trace.experts = static_cast<int>(layers[0].size());
  trace.topk = topk;
  for (const auto& layer : layers)
    trace.tokens.insert(trace.tokens.end(), layer.begin(), layer.end());
  return trace;
}

/// Whole parts, then one each to the largest rest, the lower index first.
std::vector<std::int32_t> plainly_scaled(const std::vector<std::int32_t>& counts,
                                         std::int64_t target) {
  const auto sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  std::vector<std::int32_t> scaled;
  std::vector<std::int64_t> rest;
  for (const auto count : counts) {
    scaled.push_back(static_cast<std::int32_t>(count * target / sum));
    rest.push_back(count * target % sum);
  }
  while (std::accumulate(scaled.begin(), scaled.end(), std::int64_t{0}) < target) {
    const auto most = std::max_element(rest.begin(), rest.end());
    ++scaled[static_cast<std::size_t>(most - rest.begin())];
    *most = -1;
  }
  return scaled;
}

TEST(LayerSums, EqualLayersStayAsTheyAre) {
  auto trace = step_of({{3, 1, 2}, {2, 2, 2}}, 2);
  const auto before = trace.tokens;
  LayerSums sums;
  equalise_layers(trace, sums);
  EXPECT_EQ(trace.tokens, before);
  EXPECT_EQ(sums.steps, 1);
  EXPECT_EQ(sums.rescaled, 0);
}

TEST(LayerSums, TheFullerLayersAreScaledToTheSmallest) {
  Random random(5);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::vector<std::int32_t>> layers(3, std::vector<std::int32_t>(5));
    std::int64_t least = 1'000'000;
    for (auto& layer : layers) {
      for (auto& count : layer) count = 100 + static_cast<std::int32_t>(random.below(20));
      least = std::min(least, std::accumulate(layer.begin(), layer.end(), std::int64_t{0}));
    }
    auto trace = step_of(layers, 3);
    LayerSums sums;
    sums.tolerance = 1;
    if (std::accumulate(layers[0].begin(), layers[0].end(), 0) % 3 == 0 && layers[1] == layers[0])
      continue;
    equalise_layers(trace, sums);
    EXPECT_NO_THROW(validate(trace));
    for (int layer = 0; layer < 3; ++layer) {
      const auto loads = trace.loads(0, layer);
      EXPECT_EQ(std::vector<std::int32_t>(loads.begin(), loads.end()),
                plainly_scaled(layers[static_cast<std::size_t>(layer)], least / 3 * 3));
    }
    EXPECT_EQ(sums.rescaled, 1);
  }
}

TEST(LayerSums, LargeTotalsDoNotOverflow) {
  auto trace = step_of({{2'000'000'000, 2'000'000'000, 2'000'000'000},
                        {2'000'000'000, 1'999'999'999, 1'999'999'998}},
                       1);
  LayerSums sums;
  equalise_layers(trace, sums);
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{1'999'999'999, 1'999'999'999, 1'999'999'999,
                                                     2'000'000'000, 1'999'999'999, 1'999'999'998}));
}

TEST(LayerSums, SourcesAreScaledWithTheirSums) {
  auto trace = step_of({{100, 100}, {100, 99}}, 1);
  trace.sources = 2;
  trace.source_tokens = {50, 0, 50, 100, 100, 0, 0, 99};
  LayerSums sums;
  equalise_layers(trace, sums);
  EXPECT_NO_THROW(validate(trace));
  EXPECT_EQ(trace.source_tokens, (std::vector<std::int32_t>{50, 0, 50, 99, 100, 0, 0, 99}));
  EXPECT_NEAR(sums.largest, 0.005, 1e-9);
}

TEST(LayerSums, RefusesWhatIsNoAccident) {
  LayerSums sums;
  sums.steps = 7;
  auto apart = step_of({{10, 20}, {7, 8}}, 1);
  apart.layer_ids = {3, 5};
  expect_refused("step 7: layer 5 sums to 15 and layer 3 to 30, 50.0 % apart",
                 [&] { equalise_layers(apart, sums); });
  auto odd = step_of({{2, 1}, {1, 2}}, 2);
  expect_refused("counts sum to 3, which is no multiple of top-k 2",
                 [&] { equalise_layers(odd, sums); });
  auto hot = step_of({{2, 2, 0}, {3, 1, 0}}, 2);
  hot.layer_ids = {3, 5};
  expect_refused("step 7, layer 5: expert 0 has 3 tokens of a batch of 2",
                 [&] { equalise_layers(hot, sums); });
  auto unknown = step_of({{1, 1}}, 0);
  expect_refused("--topk N", [&] { equalise_layers(unknown, sums); });
  sums.tolerance = 1;
  auto empty = step_of({{2, 2}, {0, 0}}, 1);  // scaled to nothing, but not divided by it
  equalise_layers(empty, sums);
  EXPECT_EQ(empty.tokens, std::vector<std::int32_t>(4, 0));
}

}  // namespace
}  // namespace gembench
