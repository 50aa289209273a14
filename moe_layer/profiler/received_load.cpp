#include "moe_layer/profiler/received_load.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "moe_layer/model/routing.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline profiler {
namespace {

constexpr std::uint64_t kDrawStream = 0x726f7574;  // keeps drawing apart from weights and inputs

/// Tokens of each of the active experts: not all equal. A device computes some numbers of rows
/// faster than their neighbours (whole tiles); experts of one size would all have such a number, or
/// all miss it, while those of a run have it now and then.
std::vector<std::int64_t> nearly_even(std::int64_t tokens, int active, std::int64_t most) {
  // The largest share of its tokens that an expert has more or less than the mean: 3/13, so that
  // steps from expert to expert are no multiple of a tile at usual loads.
  constexpr std::int64_t kSpread = 3, kOf = 13;
  std::vector<std::int64_t> counts(sz(active), tokens / active);
  for (std::int64_t i = 0; i < tokens % active; ++i) ++counts[sz(i)];
  for (std::int64_t i = 0, j = active - 1; i < j; ++i, --j) {
    const std::int64_t room = std::max<std::int64_t>(0, most - counts[sz(i)]);
    const std::int64_t moved = std::min(kSpread * counts[sz(j)] * (j - i) / (kOf * active), room);
    counts[sz(i)] += moved;
    counts[sz(j)] -= moved;
  }
  return counts;
}

/// A step that visits all of so many rows, neighbours far apart.
std::int64_t scattering_stride(std::int64_t rows) {
  constexpr double kGoldenRatio = 0.6180339887;
  auto stride = static_cast<std::int64_t>(kGoldenRatio * static_cast<double>(rows)) + 1;
  while (std::gcd(stride, rows) != 1) ++stride;
  return stride;
}

}  // namespace

ReceivedLoad even_load(const EvenLoad& load) {
  ReceivedLoad received;
  received.slot_tokens.assign(sz(load.slots), 0);
  if (load.tokens == 0) return received;
  const std::int64_t most = std::max<std::int64_t>(1, std::min(load.tokens, load.max_rows));
  const std::vector<std::int64_t> counts = nearly_even(load.tokens, load.active, most);
  // A row has its pairs on different experts.
  const std::int64_t least = *std::ranges::max_element(counts);
  const auto usual =
      static_cast<std::int64_t>(std::ceil(static_cast<double>(load.tokens) * load.rows_per_pair));
  const std::int64_t rows = std::min(std::max(usual, least), most);
  const auto weight =
      static_cast<float>(static_cast<double>(rows) / static_cast<double>(load.tokens));
  received.rows = static_cast<std::int32_t>(rows);
  // Experts take successive places, which go around the rows, so an expert has as many different
  // rows as tokens. Rows are then scattered, so that they are not contiguous for an expert.
  std::vector<std::int32_t> slot_at;  // [place]
  slot_at.reserve(sz(load.tokens));
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const int slot = (load.first + static_cast<int>(i)) % load.slots;
    slot_at.insert(slot_at.end(), sz(counts[i]), slot);
    received.slot_tokens[sz(slot)] = static_cast<std::int32_t>(counts[i]);
  }
  const std::int64_t stride = scattering_stride(rows);
  received.pairs.reserve(sz(load.tokens));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t place = row * stride % rows; place < load.tokens; place += rows) {
      received.pairs.push_back({static_cast<std::int32_t>(row), slot_at[sz(place)], weight});
    }
  }
  return received;
}

RoutedLoads::RoutedLoads(const Trace& trace, const Placement& placement, int count,
                         std::uint64_t seed)
    : topk_(trace.topk), ranks_(placement.ranks), slots_(placement.slots) {
  if (trace.steps < 1 || trace.layers < 1) return;
  const std::vector<Location> all = locations(placement);
  const std::size_t experts = sz(placement.experts);
  Random random(fold(mix64(seed), kDrawStream));
  std::vector<std::size_t> order(experts);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (int i = 0; i < count; ++i) {
    const auto step = static_cast<int>(random.below(static_cast<std::uint64_t>(trace.steps)));
    const auto layer = static_cast<int>(random.below(static_cast<std::uint64_t>(trace.layers)));
    const auto* here = &all[sz(layer) * experts];
    Drawn drawn{layer_ids(trace, step, layer, seed), {here, here + experts}};
    if (i % 2 == 1) {
      random.shuffle(order);
      for (std::size_t expert = 0; expert < experts; ++expert) {
        drawn.locations[expert] = here[order[expert]];
      }
    }
    drawn_.push_back(std::move(drawn));
  }
}

ReceivedLoad RoutedLoads::of(int rank, std::size_t index) const {
  const Drawn& drawn = drawn_[index];
  const std::size_t k = sz(topk_);
  ReceivedLoad load;
  load.slot_tokens.assign(sz(slots_), 0);
  for (std::size_t token = 0; token < drawn.ids.size() / k; ++token) {
    bool here = false;
    for (std::size_t j = 0; j < k; ++j) {
      const Location location = drawn.locations[drawn.ids[token * k + j]];
      if (location.rank != rank) continue;
      load.pairs.push_back({load.rows, location.slot, 1.0F / static_cast<float>(topk_)});
      ++load.slot_tokens[sz(location.slot)];
      here = true;
    }
    load.rows += here ? 1 : 0;
  }
  return load;
}

double RoutedLoads::rows_per_pair() const {
  double rows = 0, pairs = 0;
  for (const Drawn& drawn : drawn_) {
    std::vector<std::int64_t> sent(sz(ranks_), 0);
    count_rows(drawn.ids, drawn.locations, 1, ranks_, topk_, sent);
    rows += static_cast<double>(std::accumulate(sent.begin(), sent.end(), std::int64_t{0}));
    pairs += static_cast<double>(drawn.ids.size());
  }
  return pairs > 0 ? rows / pairs : 1;
}

}  // namespace gembench::inline profiler
