#include "placement/loads/multinomial_steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/random.hpp"
#include "placement/loads/draws.hpp"

namespace gembench::inline loads {
namespace {

using Row = std::span<const std::int64_t>;

Row row_of(const RunTotals& totals, int layer) {
  const auto experts = static_cast<std::size_t>(totals.shape.experts);
  return Row(totals.counts).subspan(static_cast<std::size_t>(layer) * experts, experts);
}

/// None where it does not fit 64 bits.
std::optional<std::int64_t> sum_of(Row row) {
  std::int64_t sum = 0;
  for (const auto count : row)
    if (__builtin_add_overflow(sum, count, &sum)) return std::nullopt;
  return sum;
}

void require_totals(const RunTotals& run, const ExpansionSpec& spec) {
  const Trace& totals = run.shape;
  if (spec.steps < 1 || spec.tokens < 1)
    throw usage_error("steps and tokens to draw from run totals must be at least 1");
  if (totals.steps != 1)
    throw usage_error(
        fmt::format("run totals are a trace of one step, this one has {}", totals.steps));
  if (totals.layers < 1 || totals.experts < 1 || totals.experts > kMaxExperts || totals.topk < 1 ||
      totals.topk > totals.experts ||
      run.counts.size() != checked_product({totals.layers, totals.experts}, "the run totals"))
    throw usage_error("the run totals have an impossible shape; check experts and top-k");
  if (std::int64_t{spec.tokens} * totals.topk > std::numeric_limits<std::int32_t>::max())
    throw usage_error(fmt::format("{} tokens with top-k {} do not fit 32 bits; make steps smaller",
                                  spec.tokens, totals.topk));
  for (int layer = 0; layer < totals.layers; ++layer) {
    const auto row = row_of(run, layer);
    const auto [least, most] = std::minmax_element(row.begin(), row.end());
    const auto all = sum_of(row);
    if (!all)
      throw usage_error(
          fmt::format("layer {} of the run totals does not sum up to 64 bits; check the counts",
                      totals.layer_id(layer)));
    const auto sum = *all;
    if (*least < 0 || sum == 0)
      throw usage_error(
          fmt::format("layer {} of the run totals has {}; leave out layers that are not MoE",
                      totals.layer_id(layer), sum == 0 ? "no tokens" : "a negative count"));
    if (uint128(static_cast<std::uint64_t>(*most)) * static_cast<unsigned>(totals.topk) >
        static_cast<std::uint64_t>(sum))
      throw usage_error(fmt::format(
          "layer {} of the run totals: expert {} has {} of {}, more than one token in top-k {} "
          "can give; check top-k",
          totals.layer_id(layer), most - row.begin(), *most, sum, totals.topk));
  }
}

}  // namespace

Trace expand_multinomial(const RunTotals& run, const ExpansionSpec& spec) {
  require_totals(run, spec);
  const Trace& totals = run.shape;
  Trace trace;
  trace.steps = spec.steps;
  trace.layers = totals.layers;
  trace.experts = totals.experts;
  trace.topk = totals.topk;
  trace.layer_ids = totals.layer_ids;
  trace.model_layers = totals.model_layers;
  trace.tokens.resize(
      checked_product({spec.steps, totals.layers, totals.experts}, "the drawn trace"));
  trace.source = fmt::format(
      "{} steps of {} tokens drawn as independent multinomials, seed {}, from the run totals of {}",
      spec.steps, spec.tokens, spec.seed, totals.source.empty() ? "a trace" : totals.source);
  const auto assignments = spec.tokens * totals.topk;
  for (int layer = 0; layer < totals.layers; ++layer) {
    Random random(fold(fold(spec.seed, 0xe4ba2d), static_cast<std::uint64_t>(layer)));
    const auto row = row_of(run, layer);
    const auto sum = *sum_of(row);
    for (int step = 0; step < spec.steps; ++step) {
      auto counts = trace.loads(step, layer);
      // A multinomial is a chain of binomials, each of the rest.
      auto left = assignments;
      auto weight_left = sum;
      for (std::size_t e = 0; e < counts.size() && weight_left > 0; ++e) {
        const double share = static_cast<double>(row[e]) / static_cast<double>(weight_left);
        counts[e] = binomial(random, left, share);
        left -= counts[e];
        weight_left -= row[e];
      }
      // Rare: an expert nearly every token chooses. What is over goes to the others by share.
      if (*std::max_element(counts.begin(), counts.end()) <= spec.tokens) continue;
      for (auto& count : counts) count = std::min(count, spec.tokens);
      std::vector<double> weight(row.begin(), row.end());
      repair(counts, weight, assignments, spec.tokens, random);
    }
  }
  return trace;
}

}  // namespace gembench::inline loads
