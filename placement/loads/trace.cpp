#include "placement/loads/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline loads {
namespace {

std::size_t cell(const Trace& trace, int step, int layer) {
  return (static_cast<std::size_t>(step) * static_cast<std::size_t>(trace.layers) +
          static_cast<std::size_t>(layer)) *
         static_cast<std::size_t>(trace.experts);
}

std::size_t ids_per_token(const Trace& trace) {
  return static_cast<std::size_t>(trace.layers) * static_cast<std::size_t>(trace.topk);
}

std::size_t ids_per_step(const Trace& trace) {
  return trace.steps == 0 ? 0 : trace.topk_ids.size() / static_cast<std::size_t>(trace.steps);
}

void validate_phases(const Trace& trace) {
  if (!trace.phase.empty() && trace.phase.size() != static_cast<std::size_t>(trace.steps))
    throw usage_error(fmt::format("the trace has {} phases for {} steps; make it again",
                                  trace.phase.size(), trace.steps));
  for (auto phase : trace.phase)
    if (phase < kDecode || phase > kMixed)
      throw usage_error(fmt::format(
          "the trace has the phase {}; it must be 0 (decode), 1 (prefill) or 2 (mixed)", phase));
}

void validate_layer_ids(const Trace& trace) {
  const auto& ids = trace.layer_ids;
  if (!ids.empty() && ids.size() != static_cast<std::size_t>(trace.layers))
    throw usage_error(fmt::format("the trace has {} layer ids for {} layers; make it again",
                                  ids.size(), trace.layers));
  if (!ids.empty() && (ids.front() < 0 || std::adjacent_find(ids.begin(), ids.end(),
                                                             std::greater_equal<>()) != ids.end()))
    throw usage_error("the trace's layer ids do not ascend; make it again");
  const int last = trace.layer_id(trace.layers - 1);
  if (trace.model_layers != 0 && trace.model_layers <= last)
    throw usage_error(fmt::format("the trace has layer {} of a model of {} layers; make it again",
                                  last, trace.model_layers));
}

void validate_shape(const Trace& trace) {
  if (trace.steps < 1 || trace.layers < 1 || trace.experts < 1 || trace.topk < 1)
    throw usage_error(
        fmt::format("the trace has {} steps, {} layers, {} experts and top-k {}; all "
                    "must be at least 1",
                    trace.steps, trace.layers, trace.experts, trace.topk));
  if (trace.experts > kMaxExperts)
    throw usage_error(fmt::format("the trace has {} experts, more than the {} accepted",
                                  trace.experts, kMaxExperts));
  if (trace.topk > trace.experts)
    throw usage_error(
        fmt::format("the trace has top-k {} but only {} experts; give a smaller top-k", trace.topk,
                    trace.experts));
  const auto cells = checked_product({trace.steps, trace.layers, trace.experts}, "the trace");
  if (trace.tokens.size() != cells)
    throw usage_error(
        fmt::format("the trace holds {} counts where its {} steps, {} layers and {} "
                    "experts need {}; make it again",
                    trace.tokens.size(), trace.steps, trace.layers, trace.experts, cells));
  if (!trace.task.empty() && trace.task.size() != static_cast<std::size_t>(trace.steps))
    throw usage_error(fmt::format("the trace has {} task labels for {} steps; make it again",
                                  trace.task.size(), trace.steps));
  for (auto label : trace.task)
    if (label < 0)
      throw usage_error(fmt::format("the trace has the task label {}; they count from 0", label));
  if (trace.requests < 0)
    throw usage_error(fmt::format("the trace has {} requests; make it again", trace.requests));
  validate_phases(trace);
  validate_layer_ids(trace);
}

void validate_sources(const Trace& trace) {
  const auto cells =
      trace.sources == 0
          ? 0
          : checked_product({trace.steps, trace.layers, trace.sources, trace.experts},
                            "the trace's sources");
  if (trace.source_tokens.size() != cells)
    throw usage_error(
        fmt::format("the trace holds {} counts of {} sources where {} belong; make it again",
                    trace.source_tokens.size(), trace.sources, cells));
  if (trace.sources == 0) return;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto by_source = trace.source_loads(step, layer);
      const auto loads = trace.loads(step, layer);
      for (std::size_t expert = 0; expert < loads.size(); ++expert) {
        std::int64_t sum = 0;
        for (std::size_t at = expert; at < by_source.size(); at += loads.size()) {
          if (by_source[at] < 0)
            throw usage_error(fmt::format("step {}, layer {}: a source has {} tokens for expert {}",
                                          step, layer, by_source[at], expert));
          sum += by_source[at];
        }
        if (sum != loads[expert])
          throw usage_error(
              fmt::format("step {}, layer {}: expert {} has {} tokens but its sources sum to {}; "
                          "make the trace again",
                          step, layer, expert, loads[expert], sum));
      }
    }
}

void validate_counts(const Trace& trace, int step, int layer, std::int64_t batch) {
  std::int64_t sum = 0;
  const auto loads = trace.loads(step, layer);
  for (std::size_t e = 0; e < loads.size(); ++e) {
    if (loads[e] < 0)
      throw usage_error(
          fmt::format("step {}, layer {}: expert {} has {} tokens; counts cannot be "
                      "negative",
                      step, layer, e, loads[e]));
    if (loads[e] > batch)
      throw usage_error(
          fmt::format("step {}, layer {}: expert {} has {} tokens of a batch of {}; "
                      "check top-k",
                      step, layer, e, loads[e], batch));
    sum += loads[e];
  }
  if (sum != batch * trace.topk)
    throw usage_error(
        fmt::format("step {}, layer {}: counts sum to {} where layer 0 says {} tokens "
                    "with top-k {}; check top-k",
                    step, layer, sum, batch, trace.topk));
}

void validate_ids(const Trace& trace) {
  const auto per_token = ids_per_token(trace);
  const auto steps = static_cast<std::size_t>(trace.steps);
  if (trace.topk_ids.size() % (steps * per_token) != 0)
    throw usage_error("the trace's ids do not form whole tokens in equal steps; make it again");
  const auto batch = trace.topk_ids.size() / (steps * per_token);

  const auto experts = static_cast<std::size_t>(trace.experts);
  const auto topk = static_cast<std::size_t>(trace.topk);
  std::vector<std::int32_t> counts(static_cast<std::size_t>(trace.layers) * experts);
  std::vector<std::size_t> last_token(counts.size());  // 1-based, over the whole trace
  for (int step = 0; step < trace.steps; ++step) {
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t token = 0; token < batch; ++token) {
      const auto ids = trace.ids(step, static_cast<int>(token));
      const auto stamp = static_cast<std::size_t>(step) * batch + token + 1;
      const auto* id = ids.data();
      for (std::size_t row = 0; row < counts.size(); row += experts)
        for (std::size_t j = 0; j < topk; ++j, ++id) {
          if (*id >= experts)
            throw usage_error(
                fmt::format("step {}, layer {}: token {} names expert {} of {}; check "
                            "the number of experts",
                            step, row / experts, token, *id, experts));
          if (last_token[row + *id] == stamp)
            throw usage_error(
                fmt::format("step {}, layer {}: token {} names expert {} twice; check "
                            "layers and top-k",
                            step, row / experts, token, *id));
          last_token[row + *id] = stamp;
          ++counts[row + *id];
        }
    }
    if (!std::equal(counts.begin(), counts.end(), trace.loads(step, 0).begin())) {
      const auto first = std::mismatch(counts.begin(), counts.end(), trace.loads(step, 0).begin());
      const auto layer = static_cast<std::size_t>(first.first - counts.begin()) / experts;
      throw usage_error(
          fmt::format("step {}, layer {}: ids and counts disagree; make the trace "
                      "again",
                      step, layer));
    }
  }
}

}  // namespace

std::span<const std::int32_t> Trace::loads(int step, int layer) const {
  return {tokens.data() + cell(*this, step, layer), static_cast<std::size_t>(experts)};
}

std::span<std::int32_t> Trace::loads(int step, int layer) {
  return {tokens.data() + cell(*this, step, layer), static_cast<std::size_t>(experts)};
}

std::span<const std::int32_t> Trace::source_loads(int step, int layer) const {
  const auto each = static_cast<std::size_t>(sources);
  return {source_tokens.data() + cell(*this, step, layer) * each,
          each * static_cast<std::size_t>(experts)};
}

std::span<const std::uint16_t> Trace::ids(int step, int token) const {
  const auto per_token = ids_per_token(*this);
  return {topk_ids.data() + static_cast<std::size_t>(step) * ids_per_step(*this) +
              static_cast<std::size_t>(token) * per_token,
          per_token};
}

int Trace::tokens_in_step(int step) const {
  const auto row = loads(step, 0);
  const auto sum = std::accumulate(row.begin(), row.end(), std::int64_t{0});
  return static_cast<int>(sum / topk);
}

int Trace::max_tokens_in_step() const {
  int most = 0;
  for (int step = 0; step < steps; ++step) most = std::max(most, tokens_in_step(step));
  return most;
}

std::size_t Trace::bytes() const {
  return (tokens.size() + source_tokens.size()) * sizeof(std::int32_t) +
         topk_ids.size() * sizeof(std::uint16_t);
}

void validate(const Trace& trace) {
  validate_shape(trace);
  for (int step = 0; step < trace.steps; ++step) {
    const auto row = trace.loads(step, 0);
    const auto sum = std::accumulate(row.begin(), row.end(), std::int64_t{0});
    if (sum / trace.topk > std::numeric_limits<std::int32_t>::max())
      throw usage_error(
          fmt::format("step {}, layer 0: {} tokens do not fit 32 bits; make steps "
                      "smaller",
                      step, sum / trace.topk));
    for (int layer = 0; layer < trace.layers; ++layer)
      validate_counts(trace, step, layer, sum / trace.topk);
  }
  if (trace.has_ids()) validate_ids(trace);
  validate_sources(trace);
}

Trace slice(const Trace& trace, int first, int count) {
  if (first < 0 || count < 0 || first > trace.steps || count > trace.steps - first)
    throw std::out_of_range(fmt::format("steps {} to {} of a trace of {}", first,
                                        std::int64_t{first} + count, trace.steps));
  Trace part;
  part.steps = count;
  part.layers = trace.layers;
  part.experts = trace.experts;
  part.topk = trace.topk;
  part.source = trace.source;
  part.layer_ids = trace.layer_ids;
  part.model_layers = trace.model_layers;
  part.sources = trace.sources;
  part.requests = trace.requests;
  const auto begin = static_cast<std::ptrdiff_t>(cell(trace, first, 0));
  const auto end = static_cast<std::ptrdiff_t>(cell(trace, first + count, 0));
  part.tokens.assign(trace.tokens.begin() + begin, trace.tokens.begin() + end);
  const auto ids = static_cast<std::ptrdiff_t>(ids_per_step(trace));
  if (!trace.task.empty())
    part.task.assign(trace.task.begin() + first, trace.task.begin() + first + count);
  if (!trace.phase.empty())
    part.phase.assign(trace.phase.begin() + first, trace.phase.begin() + first + count);
  part.source_tokens.assign(trace.source_tokens.begin() + begin * trace.sources,
                            trace.source_tokens.begin() + end * trace.sources);
  part.topk_ids.assign(trace.topk_ids.begin() + first * ids,
                       trace.topk_ids.begin() + (first + count) * ids);
  return part;
}

Trace first_layers(const Trace& trace, int layers) {
  if (layers < 1 || layers > trace.layers)
    throw std::out_of_range(fmt::format("{} layers of a trace of {}", layers, trace.layers));
  Trace part;
  part.steps = trace.steps;
  part.layers = layers;
  part.experts = trace.experts;
  part.topk = trace.topk;
  part.source = trace.source;
  part.task = trace.task;
  part.phase = trace.phase;
  part.model_layers = trace.model_layers;
  part.sources = trace.sources;
  part.requests = trace.requests;
  if (!trace.layer_ids.empty())
    part.layer_ids.assign(trace.layer_ids.begin(), trace.layer_ids.begin() + layers);
  const auto row = static_cast<std::size_t>(layers) * static_cast<std::size_t>(trace.experts);
  part.tokens.reserve(static_cast<std::size_t>(trace.steps) * row);
  for (int step = 0; step < trace.steps; ++step) {
    const auto* from = trace.loads(step, 0).data();
    part.tokens.insert(part.tokens.end(), from, from + row);
    if (trace.sources == 0) continue;
    const auto* by_source = trace.source_loads(step, 0).data();
    part.source_tokens.insert(part.source_tokens.end(), by_source,
                              by_source + row * static_cast<std::size_t>(trace.sources));
  }
  if (trace.has_ids()) {
    const auto all = ids_per_token(trace);
    const auto kept = ids_per_token(part);
    part.topk_ids.reserve(trace.topk_ids.size() / all * kept);
    for (std::size_t at = 0; at + all <= trace.topk_ids.size(); at += all) {
      const auto* from = trace.topk_ids.data() + at;
      part.topk_ids.insert(part.topk_ids.end(), from, from + kept);
    }
  }
  return part;
}

Trace counts_only(const Trace& trace) {
  Trace counts;
  counts.steps = trace.steps;
  counts.layers = trace.layers;
  counts.experts = trace.experts;
  counts.topk = trace.topk;
  counts.tokens = trace.tokens;
  counts.source = trace.source;
  return counts;
}

void count_tokens(Trace& trace, int tokens_per_step) {
  const auto per_step = checked_product({tokens_per_step, trace.layers, trace.topk}, "the trace");
  if (trace.steps < 1 || per_step == 0 ||
      trace.topk_ids.size() / static_cast<std::size_t>(trace.steps) != per_step ||
      trace.topk_ids.size() % static_cast<std::size_t>(trace.steps) != 0)
    throw usage_error(fmt::format("{} ids do not form {} steps of {} tokens; make the trace again",
                                  trace.topk_ids.size(), trace.steps, tokens_per_step));
  trace.tokens.assign(checked_product({trace.steps, trace.layers, trace.experts}, "the trace"), 0);
  const auto topk = static_cast<std::size_t>(trace.topk);
  const auto experts = static_cast<std::size_t>(trace.experts);
  for (int step = 0; step < trace.steps; ++step) {
    auto* counts = trace.loads(step, 0).data();
    for (int token = 0; token < tokens_per_step; ++token) {
      const auto ids = trace.ids(step, token);
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] >= experts)
          throw usage_error(
              fmt::format("step {}, layer {}: token {} names expert {} of {}; check "
                          "the number of experts",
                          step, i / topk, token, ids[i], experts));
        ++counts[i / topk * experts + ids[i]];
      }
    }
  }
}

}  // namespace gembench::inline loads
