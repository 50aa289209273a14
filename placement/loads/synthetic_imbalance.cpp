#include "placement/loads/synthetic_imbalance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "placement/base/checked_sizes.hpp"
#include "placement/loads/draws.hpp"

namespace gembench::inline loads {
namespace {

/// A stream of its own for every use and coordinate.
Random stream(const SyntheticSpec& spec, std::uint64_t use, std::int64_t a = 0,
              std::int64_t b = 0) {
  return Random(fold(fold(fold(spec.seed, use), static_cast<std::uint64_t>(a)),
                     static_cast<std::uint64_t>(b)));
}
constexpr std::uint64_t kRank = 0x9a4b, kSet = 0x5e7, kRounding = 0x40d, kSources = 0x504c;

/// Experts [first, first + count).
struct Block {
  int first = 0;
  int count = 0;
};

/// Those of a rank under `linear`: with a remainder, the first ranks hold one more.
Block block_of(const SyntheticSpec& spec, int rank) {
  const int each = spec.experts / spec.ranks;
  const int longer = spec.experts % spec.ranks;
  return {rank * each + std::min(rank, longer), each + (rank < longer)};
}

int drawn_rank(const SyntheticSpec& spec) {
  return static_cast<int>(stream(spec, kRank).below(static_cast<std::uint64_t>(spec.ranks)));
}

/// Fills every (step, layer) in proportion to the weights that `weigh`(step, layer, weights) sets;
/// they are 1 before.
template <class Weigh>
void fill_in_proportion(Trace& trace, const SyntheticSpec& spec, const Weigh& weigh) {
  std::vector<double> weight(static_cast<std::size_t>(spec.experts));
  std::vector<double> share(weight.size());
  for (int step = 0; step < spec.steps; ++step)
    for (int layer = 0; layer < spec.layers; ++layer) {
      std::fill(weight.begin(), weight.end(), 1.0);
      weigh(step, layer, std::span(weight));
      spread_topk(weight, spec.topk, share);
      auto random = stream(spec, kRounding, layer, step);
      repair(trace.loads(step, layer), share, std::int64_t{spec.tokens} * spec.topk, spec.tokens,
             random);
    }
}

void heat_block(std::span<double> weight, Block block, double heat) {
  for (auto& value :
       weight.subspan(static_cast<std::size_t>(block.first), static_cast<std::size_t>(block.count)))
    value = heat;
}

/// Experts at random; sets of different numbers differ.
void heat_set(std::span<double> weight, const SyntheticSpec& spec,
              const ImbalanceParameters& parameters, int layer, int number) {
  std::vector<std::size_t> order(weight.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  stream(spec, kSet, layer, number).shuffle(order);
  const auto hot =
      std::max<std::size_t>(1, static_cast<std::size_t>(parameters.hot_share * spec.experts + 0.5));
  for (std::size_t i = 0; i < hot; ++i) weight[order[i]] = parameters.heat;
}

/// [rank] tokens of its batch; they sum to the step's.
std::vector<std::int32_t> ragged_batches(const SyntheticSpec& spec, double ragged) {
  std::vector<double> weight;
  for (int i = 0; i < spec.ranks; ++i)
    weight.push_back(1 + (ragged - 1) * i / std::max(1, spec.ranks - 1));
  auto random = stream(spec, kSources);
  random.shuffle(weight);
  std::vector<std::int32_t> batches(weight.size(), 0);
  repair(batches, weight, spec.tokens, spec.tokens, random);
  return batches;
}

}  // namespace

void fill_hot_experts(Trace& trace, const SyntheticSpec& spec,
                      const ImbalanceParameters& parameters) {
  fill_in_proportion(trace, spec, [&](int, int layer, std::span<double> weight) {
    heat_set(weight, spec, parameters, layer, 0);
  });
}

void fill_hot_rank(Trace& trace, const SyntheticSpec& spec, const ImbalanceParameters& parameters) {
  const auto block = block_of(spec, drawn_rank(spec));
  fill_in_proportion(trace, spec, [&](int, int, std::span<double> weight) {
    heat_block(weight, block, parameters.heat);
  });
}

void fill_spread_hot(Trace& trace, const SyntheticSpec& spec,
                     const ImbalanceParameters& parameters) {
  const int first = drawn_rank(spec);
  const int hot = block_of(spec, first).count;
  fill_in_proportion(trace, spec, [&](int, int, std::span<double> weight) {
    for (int i = 0; i < hot; ++i) {
      const int expert = block_of(spec, (first + i) % spec.ranks).first + i / spec.ranks;
      weight[static_cast<std::size_t>(expert)] = parameters.heat;
    }
  });
}

void fill_source_ragged(Trace& trace, const SyntheticSpec& spec,
                        const ImbalanceParameters& parameters) {
  const auto batches = ragged_batches(spec, parameters.ragged);
  trace.sources = spec.ranks;
  trace.source_tokens.resize(
      checked_product({spec.steps, spec.layers, spec.ranks, spec.experts}, "the synthetic trace"));
  const auto experts = static_cast<std::size_t>(spec.experts);
  auto rest = std::span(trace.source_tokens);
  const std::int64_t extra = std::int64_t{spec.tokens} * spec.topk % spec.experts;
  for (int step = 0; step < spec.steps; ++step)
    for (int layer = 0; layer < spec.layers; ++layer) {
      // One deal over all sources, so that experts get equal parts of the whole step as well.
      std::int64_t first = layer + step * extra;
      const auto all = trace.loads(step, layer);
      for (const auto tokens : batches) {
        const auto own = rest.first(experts);
        rest = rest.subspan(experts);
        deal_evenly(own, std::int64_t{tokens} * spec.topk, first);
        first += std::int64_t{tokens} * spec.topk;
        for (std::size_t e = 0; e < experts; ++e) all[e] += own[e];
      }
    }
}

void fill_zero_rank(Trace& trace, const SyntheticSpec& spec, const ImbalanceParameters&) {
  const auto idle = block_of(spec, drawn_rank(spec));
  const int others = spec.experts - idle.count;
  if (others < spec.topk)
    throw usage_error(
        fmt::format("{} of {} experts are left without one of {} ranks, too few for top-k {}; give "
                    "more ranks",
                    others, spec.experts, spec.ranks, spec.topk));
  const auto total = std::int64_t{spec.tokens} * spec.topk;
  std::vector<std::int32_t> dealt(static_cast<std::size_t>(others));
  for (int step = 0; step < spec.steps; ++step)
    for (int layer = 0; layer < spec.layers; ++layer) {
      deal_evenly(dealt, total, layer + step * (total % others));
      const auto counts = trace.loads(step, layer);
      const auto behind = std::copy_n(dealt.begin(), idle.first, counts.begin()) + idle.count;
      std::copy(dealt.begin() + idle.first, dealt.end(), behind);
    }
}

void fill_rotating_hotspot(Trace& trace, const SyntheticSpec& spec,
                           const ImbalanceParameters& parameters) {
  const int first = drawn_rank(spec);
  const auto dwell = static_cast<int>(parameters.dwell);
  fill_in_proportion(trace, spec, [&](int step, int, std::span<double> weight) {
    heat_block(weight, block_of(spec, (first + step / dwell) % spec.ranks), parameters.heat);
  });
}

void fill_burst(Trace& trace, const SyntheticSpec& spec, const ImbalanceParameters& parameters) {
  const auto period = static_cast<int>(parameters.period);
  const auto calm = period - static_cast<int>(parameters.burst);
  fill_in_proportion(trace, spec, [&](int step, int layer, std::span<double> weight) {
    if (step % period >= calm) heat_set(weight, spec, parameters, layer, step / period);
  });
}

}  // namespace gembench::inline loads
