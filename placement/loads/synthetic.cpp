#include "placement/loads/synthetic.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/known_names.hpp"
#include "placement/loads/draws.hpp"
#include "placement/loads/synthetic_bursty.hpp"
#include "placement/loads/synthetic_imbalance.hpp"
#include "placement/loads/synthetic_power_law.hpp"
#include "placement/loads/synthetic_serving.hpp"

namespace gembench::inline loads {
namespace {

/// A parameter's name, place and range.
template <class P>
struct Field {
  std::string_view name;
  double P::*value;
  double low = 0;
  double high = 0;
  bool whole = false;  // whole numbers only
};

using S = ServingParameters;
constexpr Field<S> kServing[] = {{"sigma", &S::sigma, 0, 1.5},
                                 {"temporal_low", &S::temporal_low, 0, 1},
                                 {"temporal_high", &S::temporal_high, 0, 1},
                                 {"group_low", &S::group_low, 2, 64, true},
                                 {"group_high", &S::group_high, 2, 64, true},
                                 {"duty", &S::duty, 0, 0.9},
                                 {"burst", &S::burst, 0.01, 100},
                                 {"mean_dwell", &S::mean_dwell, 1, 1e6},
                                 {"consistent_duty", &S::consistent_duty, 0, 1}};

using B = BurstyParameters;
constexpr Field<B> kBursty[] = {{"zipf", &B::zipf, 0, 0.8},
                                {"hot_share", &B::hot_share, 0, 1},
                                {"hot_factor", &B::hot_factor, 0.01, 100},
                                {"group_share", &B::group_share, 0, 1},
                                {"group_low", &B::group_low, 2, 64, true},
                                {"group_high", &B::group_high, 2, 64, true},
                                {"duty", &B::duty, 0, 0.9},
                                {"burst", &B::burst, 0.01, 100},
                                {"mean_burst", &B::mean_burst, 1, 1e6},
                                {"tasks", &B::tasks, 1, 1024, true},
                                {"task_dwell", &B::task_dwell, 1, 1e9},
                                {"task_sigma", &B::task_sigma, 0, 1.5},
                                {"task_rate", &B::task_rate, 0, 1},
                                {"drift_sigma", &B::drift_sigma, 0, 1.5},
                                {"drift_rho", &B::drift_rho, 0, 1},
                                {"correlated", &B::correlated, 1, 1e6, true}};

using L = PowerLawParameters;
constexpr Field<L> kPowerLaw[] = {{"alpha", &L::alpha, 0, 3}};

using W = ImbalanceParameters;
constexpr std::array<Field<W>, 0> kNone{};
constexpr Field<W> kHotSet[] = {{"heat", &W::heat, 1, 1000}, {"hot_share", &W::hot_share, 0, 1}};
constexpr Field<W> kHotRank[] = {{"heat", &W::heat, 1, 1000}};
constexpr Field<W> kRagged[] = {{"ragged", &W::ragged, 1, 1000}};
constexpr Field<W> kRotating[] = {{"heat", &W::heat, 1, 1000}, {"dwell", &W::dwell, 1, 1e6, true}};
constexpr Field<W> kBurst[] = {{"heat", &W::heat, 1, 1000},
                               {"hot_share", &W::hot_share, 0, 1},
                               {"period", &W::period, 1, 1e6, true},
                               {"burst", &W::burst, 1, 1e6, true}};

using Set = std::span<const SyntheticParameter>;

/// `parameters` with the values of `set`. Unknown names and impossible values are errors.
template <class P>
P with(P parameters, std::span<const Field<P>> fields, Set set, std::string_view preset) {
  for (const auto& [name, value] : set) {
    std::string names;
    bool found = false;
    for (const auto& field : fields) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", field.name);
      if (field.name != name) continue;
      found = true;
      if (!(value >= field.low && value <= field.high) ||
          (field.whole && value != std::floor(value)))
        throw usage_error(fmt::format("parameter {} = {} of preset '{}' must be {} from {} to {}",
                                      name, value, preset, field.whole ? "whole and" : "a number",
                                      field.low, field.high));
      parameters.*field.value = value;
    }
    if (!found)
      throw usage_error(fmt::format("preset '{}' has no parameter '{}'; it has {}", preset, name,
                                    names.empty() ? "none" : names));
  }
  return parameters;
}

template <class P>
std::vector<SyntheticParameter> list(const P& parameters, std::span<const Field<P>> fields) {
  std::vector<SyntheticParameter> values;
  for (const auto& field : fields)
    values.push_back({std::string(field.name), parameters.*field.value});
  return values;
}

/// Every expert its equal share, the remainder dealt round and round.
void fill_even(Trace& trace, const SyntheticSpec& spec, const W&) {
  // Assigns tokens * topk cyclically and continues in the next step where the last one ended, so
  // that no expert is favoured over the steps either. Layers start at different experts.
  const auto total = std::int64_t{spec.tokens} * spec.topk;
  for (int step = 0; step < spec.steps; ++step)
    for (int layer = 0; layer < spec.layers; ++layer)
      deal_evenly(trace.loads(step, layer), total, layer + step * (total % spec.experts));
}

using Listed = std::vector<SyntheticParameter>;

/// Fills the trace with `set` put into the defaults (unless `trace` is null) and returns all
/// parameters.
Listed serving(Trace* trace, const SyntheticSpec& spec, Set set, std::string_view preset) {
  const auto parameters = with<S>(serving_defaults(spec), kServing, set, preset);
  if (parameters.temporal_low > parameters.temporal_high ||
      parameters.group_low > parameters.group_high)
    throw usage_error("temporal_low and group_low of preset 'serving' cannot be above .._high");
  if (trace) fill_serving(*trace, spec, parameters);
  return list<S>(parameters, kServing);
}

Listed bursty(Trace* trace, const SyntheticSpec& spec, Set set, std::string_view preset) {
  const auto parameters = with<B>(bursty_defaults(spec), kBursty, set, preset);
  if (parameters.group_low > parameters.group_high)
    throw usage_error("group_low of preset 'bursty' cannot be above group_high");
  (void)checked_product({static_cast<std::int64_t>(parameters.tasks), spec.experts},
                        "the tasks of preset 'bursty'");
  if (trace) fill_bursty(*trace, spec, parameters);
  return list<B>(parameters, kBursty);
}

Listed power_law(Trace* trace, const SyntheticSpec& spec, Set set, std::string_view preset) {
  const auto parameters = with<L>({}, kPowerLaw, set, preset);
  if (trace) fill_power_law(*trace, spec, parameters);
  return list<L>(parameters, kPowerLaw);
}

/// One of the workloads W0 to W7, with those parameters that it has.
template <void (*fill)(Trace&, const SyntheticSpec&, const W&), const auto& fields>
Listed workload(Trace* trace, const SyntheticSpec& spec, Set set, std::string_view preset) {
  const auto parameters = with<W>({}, fields, set, preset);
  if (parameters.burst > parameters.period)
    throw usage_error(fmt::format("burst of preset '{}' cannot be above period", preset));
  if (trace) fill(*trace, spec, parameters);
  return list<W>(parameters, fields);
}

constexpr SyntheticPreset kPresets[] = {
    {"serving", "temporal experts in groups, after GEM's figures", serving},
    {"bursty", "strongly skewed prefill: hot experts, bursts, tasks, drift", bursty},
    {"power-law", "AIConfigurator's loads: their density falls as load^-alpha (--alpha)",
     power_law},
    {"even", "equal counts, rotating", workload<fill_even, kNone>},
    {"w0-balanced", "W0 of Megatron-LM PR 7488, like W1-W7 with numbers of ours: equal counts",
     workload<fill_even, kNone>},
    {"w1-hot-experts", "W1: an eighth of the experts is hot, at random",
     workload<fill_hot_experts, kHotSet>},
    {"w2-hot-rank", "W2: all experts of one rank are hot", workload<fill_hot_rank, kHotRank>, true},
    {"w3-spread-hot", "W3: as many hot experts as in W2, dealt to the ranks",
     workload<fill_spread_hot, kHotRank>, true},
    {"w4-source-ragged", "W4: even loads, but ranks have batches of different size",
     workload<fill_source_ragged, kRagged>, true},
    {"w5-zero-expert-rank", "W5: the experts of one rank get no token",
     workload<fill_zero_rank, kNone>, true},
    {"w6-rotating-hotspot", "W6: as W2, with another hot rank in every step",
     workload<fill_rotating_hotspot, kRotating>, true},
    {"w7-burst", "W7: even loads with short bursts of hot experts, others in every burst",
     workload<fill_burst, kBurst>}};

const SyntheticPreset& find_preset(std::string_view name) {
  for (const auto& preset : kPresets) {
    if (preset.name == name) return preset;
  }
  const auto names = names_of_rows(kPresets);
  throw usage_error(fmt::format("there is no preset '{}'{}; choose one of {}", name,
                                did_you_mean(name, names), fmt::join(names, ", ")));
}

/// The row, for a spec that it can be made for.
const SyntheticPreset& preset_for(std::string_view name, const SyntheticSpec& spec) {
  const auto& preset = find_preset(name);
  if (preset.needs_ranks && (spec.ranks < 1 || spec.ranks > spec.experts))
    throw usage_error(
        fmt::format("preset '{}' speaks of ranks that hold experts, and there are {} ranks for {} "
                    "experts; give 1 to {} ranks",
                    name, spec.ranks, spec.experts, spec.experts));
  return preset;
}

std::size_t checked_cells(const SyntheticSpec& spec) {
  if (spec.steps < 1 || spec.layers < 1 || spec.experts < 1 || spec.topk < 1 || spec.tokens < 1)
    throw usage_error(
        "steps, layers, experts, top-k and tokens of a synthetic trace must be at "
        "least 1");
  if (spec.experts > kMaxExperts)
    throw usage_error(
        fmt::format("{} experts, more than the {} accepted", spec.experts, kMaxExperts));
  if (spec.topk > spec.experts)
    throw usage_error(
        fmt::format("top-k {} with {} experts; give a smaller top-k", spec.topk, spec.experts));
  return checked_product({spec.steps, spec.layers, spec.experts}, "the synthetic trace");
}

Trace sized(const SyntheticSpec& spec) {
  Trace trace;
  trace.steps = spec.steps;
  trace.layers = spec.layers;
  trace.experts = spec.experts;
  trace.topk = spec.topk;
  trace.tokens.resize(checked_cells(spec));
  return trace;
}

}  // namespace

std::span<const SyntheticPreset> synthetic_presets() {
  return kPresets;
}

std::vector<SyntheticParameter> synthetic_parameters(std::string_view preset,
                                                     const SyntheticSpec& spec) {
  (void)checked_cells(spec);
  return preset_for(preset, spec).generate(nullptr, spec, {}, preset);
}

Trace make_trace(std::string_view preset, const SyntheticSpec& spec,
                 std::span<const SyntheticParameter> set) {
  auto trace = sized(spec);
  const auto& row = preset_for(preset, spec);
  const auto parameters = row.generate(&trace, spec, set, preset);
  trace.source =
      fmt::format("synthetic {}: {} steps, {} layers, {} experts, top-k {}, {} tokens, {}seed {}",
                  preset, spec.steps, spec.layers, spec.experts, spec.topk, spec.tokens,
                  row.needs_ranks ? fmt::format("{} ranks, ", spec.ranks) : "", spec.seed);
  for (const auto& [name, value] : parameters)
    trace.source +=
        fmt::format("{} {} {}", &name == &parameters.front().name ? ";" : ",", name, value);
  return trace;
}

}  // namespace gembench::inline loads
