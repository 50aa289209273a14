#include "placement/recordings/layer_sums.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline recordings {
namespace {

std::int64_t sum_of(std::span<const std::int32_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

/// Scales counts, which sum to `sum`, to the smaller sum `target`.
void rescale(std::span<std::int32_t> counts, std::int64_t sum, std::int64_t target) {
  if (target == 0) return std::fill(counts.begin(), counts.end(), 0);
  struct Rest {
    std::uint64_t rest;
    std::size_t at;
  };
  std::vector<Rest> rests;
  auto left = target;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto scaled =
        uint128(static_cast<std::uint64_t>(counts[i])) * static_cast<std::uint64_t>(target);
    const auto whole = static_cast<std::int32_t>(scaled / static_cast<std::uint64_t>(sum));
    rests.push_back({static_cast<std::uint64_t>(scaled % static_cast<std::uint64_t>(sum)), i});
    counts[i] = whole;
    left -= whole;
  }
  std::stable_sort(rests.begin(), rests.end(),
                   [](const Rest& a, const Rest& b) { return a.rest > b.rest; });
  for (std::size_t i = 0; static_cast<std::int64_t>(i) < left; ++i) ++counts[rests[i].at];
}

std::span<std::int32_t> source_loads(Trace& trace, int step, int layer) {
  const auto row =
      static_cast<std::size_t>(trace.sources) * static_cast<std::size_t>(trace.experts);
  return std::span(trace.source_tokens)
      .subspan((static_cast<std::size_t>(step) * static_cast<std::size_t>(trace.layers) +
                static_cast<std::size_t>(layer)) *
                   row,
               row);
}

void rescale(Trace& trace, int step, int layer, std::int64_t sum, std::int64_t target) {
  const auto loads = trace.loads(step, layer);
  if (trace.sources == 0) return rescale(loads, sum, target);
  const auto by_source = source_loads(trace, step, layer);
  rescale(by_source, sum, target);
  std::fill(loads.begin(), loads.end(), 0);
  for (std::size_t i = 0; i < by_source.size(); ++i) loads[i % loads.size()] += by_source[i];
}

/// Returns the new sum of every layer.
std::int64_t equalise_step(Trace& steps, int step, LayerSums& sums) {
  std::vector<std::int64_t> sum;
  for (int layer = 0; layer < steps.layers; ++layer)
    sum.push_back(sum_of(steps.loads(step, layer)));
  const auto [least, most] = std::minmax_element(sum.begin(), sum.end());
  const auto layer_id = [&](auto at) { return steps.layer_id(static_cast<int>(at - sum.begin())); };
  if (*least == *most && *least % steps.topk != 0)
    throw usage_error(
        fmt::format("step {}, layer {}: counts sum to {}, which is no multiple of top-k {}; check "
                    "top-k",
                    sums.steps, layer_id(least), *least, steps.topk));
  if (*least == *most) return *least;
  const double lacks = 1 - static_cast<double>(*least) / static_cast<double>(*most);
  if (lacks > sums.tolerance)
    throw usage_error(
        fmt::format("step {}: layer {} sums to {} and layer {} to {}, {:.1f} % apart: draw steps "
                    "from the totals with --expand-multinomial, or scale layers with --rescale F",
                    sums.steps, layer_id(least), *least, layer_id(most), *most, lacks * 100));
  const auto target = *least / steps.topk * steps.topk;
  for (int layer = 0; layer < steps.layers; ++layer)
    rescale(steps, step, layer, sum[static_cast<std::size_t>(layer)], target);
  ++sums.rescaled;
  sums.largest = std::max(sums.largest, lacks);
  return target;
}

/// A token gets no expert twice.
void require_distinct(const Trace& steps, int step, std::int64_t number, std::int64_t batch) {
  for (int layer = 0; layer < steps.layers; ++layer) {
    const auto loads = steps.loads(step, layer);
    const auto hottest = std::max_element(loads.begin(), loads.end());
    if (*hottest > batch)
      throw usage_error(
          fmt::format("step {}, layer {}: expert {} has {} tokens of a batch of {}; check top-k",
                      number, steps.layer_id(layer), hottest - loads.begin(), *hottest, batch));
  }
}

}  // namespace

void require_topk(const Trace& steps) {
  if (steps.topk < 1)
    throw usage_error("it does not say how many experts a token gets: pass --topk N, or --model");
}

void equalise_layers(Trace& steps, LayerSums& sums) {
  require_topk(steps);
  for (int step = 0; step < steps.steps; ++step, ++sums.steps) {
    const auto target = equalise_step(steps, step, sums);
    require_distinct(steps, step, sums.steps, target / steps.topk);
  }
}

}  // namespace gembench::inline recordings
