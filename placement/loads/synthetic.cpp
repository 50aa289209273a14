#include "placement/loads/synthetic.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/known_names.hpp"
#include "placement/loads/synthetic_bursty.hpp"
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
void fill_even(Trace& trace, const SyntheticSpec& spec) {
  // Assigns tokens * topk cyclically and continues in the next step where the last one ended, so
  // that no expert is favoured over the steps either. Layers start at different experts.
  const auto total = std::int64_t{spec.tokens} * spec.topk;
  const auto every = static_cast<std::int32_t>(total / spec.experts);
  const auto extra = total % spec.experts;
  for (int step = 0; step < spec.steps; ++step)
    for (int layer = 0; layer < spec.layers; ++layer) {
      auto counts = trace.loads(step, layer);
      std::fill(counts.begin(), counts.end(), every);
      const auto first = layer + step * extra;
      for (std::int64_t i = 0; i < extra; ++i)
        ++counts[static_cast<std::size_t>((first + i) % spec.experts)];
    }
}

using Listed = std::vector<SyntheticParameter>;

/// Fills the trace with `set` put into the defaults (unless `trace` is null) and returns all
/// parameters.
Listed serving(Trace* trace, const SyntheticSpec& spec, Set set) {
  const auto parameters = with<S>(serving_defaults(spec), std::span(kServing), set, "serving");
  if (parameters.temporal_low > parameters.temporal_high ||
      parameters.group_low > parameters.group_high)
    throw usage_error("temporal_low and group_low of preset 'serving' cannot be above .._high");
  if (trace) fill_serving(*trace, spec, parameters);
  return list<S>(parameters, std::span(kServing));
}

Listed bursty(Trace* trace, const SyntheticSpec& spec, Set set) {
  const auto parameters = with<B>(bursty_defaults(spec), std::span(kBursty), set, "bursty");
  if (parameters.group_low > parameters.group_high)
    throw usage_error("group_low of preset 'bursty' cannot be above group_high");
  (void)checked_product({static_cast<std::int64_t>(parameters.tasks), spec.experts},
                        "the tasks of preset 'bursty'");
  if (trace) fill_bursty(*trace, spec, parameters);
  return list<B>(parameters, std::span(kBursty));
}

Listed even(Trace* trace, const SyntheticSpec& spec, Set set) {
  if (!set.empty())
    throw usage_error(
        fmt::format("preset 'even' has no parameter '{}'; it has none", set.front().name));
  if (trace) fill_even(*trace, spec);
  return {};
}

constexpr SyntheticPreset kPresets[] = {
    {"serving", "temporal experts in groups, after GEM's figures"},
    {"bursty", "strongly skewed prefill: hot experts, bursts, tasks, drift"},
    {"even", "equal counts, rotating"}};
constexpr Listed (*kGenerators[])(Trace*, const SyntheticSpec&, Set) = {serving, bursty, even};
static_assert(std::size(kPresets) == std::size(kGenerators));

std::size_t find_preset(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kPresets); ++i) {
    if (kPresets[i].name == name) return i;
  }
  const auto names = names_of_rows(kPresets);
  throw usage_error(fmt::format("there is no preset '{}'{}; choose one of {}", name,
                                did_you_mean(name, names), fmt::join(names, ", ")));
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
  return kGenerators[find_preset(preset)](nullptr, spec, {});
}

Trace make_trace(std::string_view preset, const SyntheticSpec& spec,
                 std::span<const SyntheticParameter> set) {
  const auto generate = kGenerators[find_preset(preset)];
  auto trace = sized(spec);
  const auto parameters = generate(&trace, spec, set);
  trace.source =
      fmt::format("synthetic {}: {} steps, {} layers, {} experts, top-k {}, {} tokens, seed {}",
                  preset, spec.steps, spec.layers, spec.experts, spec.topk, spec.tokens, spec.seed);
  for (const auto& [name, value] : parameters)
    trace.source +=
        fmt::format("{} {} {}", &name == &parameters.front().name ? ";" : ",", name, value);
  return trace;
}

}  // namespace gembench::inline loads
