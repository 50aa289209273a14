#include "harness/run/workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string_view>
#include <utility>

#include "harness/cli/number_file.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/run/injected_drift.hpp"
#include "harness/run/model_file.hpp"
#include "harness/run/profile_source.hpp"
#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "placement/cost/expert_sums.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline run {
namespace {

constexpr int kDefaultTokens = 1024;
constexpr int kMostTokens = 1 << 24;

/// Four ranks' slowdowns with GEM's spreads: 7.7 % inside one node of 8 GPUs and 27.7 % over 128
/// (arXiv:2605.19945). The inner two values are ours; the paper gives only the extremes.
constexpr std::array<double, 4> kLow = {1.0, 1.02, 1.05, 1.077};
constexpr std::array<double, 4> kHigh = {1.0, 1.08, 1.17, 1.277};

Trace load_trace(const SessionOptions& options, const ModelShape& model, TraceDigests& digests) {
  Trace trace = read_trace(options.trace);
  if (trace.experts != model.experts || trace.topk != model.topk) {
    throw usage_error(fmt::format(
        "{} has {} experts, top-{}, but {} has {}, top-{}: give the --model it was recorded on, or "
        "--experts and --topk",
        options.trace, trace.experts, trace.topk, model.name, model.experts, model.topk));
  }
  if (trace.layers < model.layers) {
    throw usage_error(fmt::format("{} has {} layers but {} are to run: pass --layers {}",
                                  options.trace, trace.layers, model.layers, trace.layers));
  }
  digests = digests_of(trace);
  return trace.layers == model.layers ? trace : first_layers(trace, model.layers);
}

/// "; 62 % of steps decode, 3 % prefill, 35 % both", if known.
std::string phases_of(const Trace& trace) {
  if (trace.phase.empty()) return "";
  const auto share = [&](std::int32_t phase) {
    return 100.0 * static_cast<double>(std::count(trace.phase.begin(), trace.phase.end(), phase)) /
           static_cast<double>(trace.phase.size());
  };
  return fmt::format("; {:.3g} % of steps decode, {:.3g} % prefill, {:.3g} % both", share(kDecode),
                     share(kPrefill), share(kMixed));
}

}  // namespace

ModelShape model_of(const ModelOptions& options) {
  ModelShape model = scaled(model_named(options.model), options.scale);
  if (options.layers) model.layers = *options.layers;
  if (options.experts) model.experts = *options.experts;
  if (options.topk) model.topk = *options.topk;
  if (options.hidden) model.hidden = *options.hidden;
  if (options.ffn) model.ffn = *options.ffn;
  validate(model);
  return model;
}

std::string shape_name(const ModelOptions& options, DType dtype) {
  const ModelShape preset = scaled(model_named(options.model), options.scale),
                   model = model_of(options);
  const bool preset_width = model.hidden == preset.hidden && model.ffn == preset.ffn;
  return fmt::format("{}{} {}", model.name,
                     preset_width ? "" : fmt::format("(hidden={},ffn={})", model.hidden, model.ffn),
                     name_of(dtype));
}

int tokens_per_step(const LoadOptions& options) {
  return options.tokens.value_or(kDefaultTokens);
}

int tokens_per_step(const RoutingOptions& options) {
  if (options.tokens) return *options.tokens;
  const auto& each = options.tokens_per_rank;
  const auto sum = std::accumulate(each.begin(), each.end(), std::int64_t{0});
  if (sum > kMostTokens) {
    throw usage_error(fmt::format("--tokens-per-rank gives {} tokens, more than {}: lower them",
                                  sum, kMostTokens));
  }
  return sum > 0 ? static_cast<int>(sum) : kDefaultTokens;
}

std::string tokens_of_steps(const Trace& trace) {
  const int most = trace.max_tokens_in_step();
  int least = most;
  for (int step = 0; step < trace.steps; ++step)
    least = std::min(least, trace.tokens_in_step(step));
  return least == most ? fmt::format("{}", most) : fmt::format("{}-{}", least, most);
}

std::string digest(const Trace& trace) {
  std::uint64_t hash = 0;
  for (const auto tokens : trace.tokens) hash = fold(hash, static_cast<std::uint64_t>(tokens));
  for (const auto id : trace.topk_ids) hash = fold(hash, id);
  return fmt::format("{:016x}", hash);
}

Workload split_workload(const Trace& whole, int plan_steps, int steps, bool in_sample) {
  Workload workload;
  if (in_sample) plan_steps = 0;
  workload.first_measured = plan_steps;
  workload.measured = slice(whole, plan_steps, steps);
  workload.plan = in_sample ? workload.measured : slice(whole, 0, plan_steps);
  workload.tokens = workload.measured.max_tokens_in_step();
  return workload;
}

Workload make_workload(const SessionOptions& options, const ModelShape& model, int ranks) {
  if (options.routing == "trace") {
    TraceDigests digests;
    const Trace trace = load_trace(options, model, digests);
    const int plan =
        options.in_sample ? 0 : options.plan_steps.value_or(trace.steps - options.steps);
    if ((plan < 1 && !options.in_sample) || plan + options.steps > trace.steps) {
      throw usage_error(
          fmt::format("{} has {} steps, too few for {} planned on and {} measured: lower "
                      "--plan-steps or --steps",
                      options.trace, trace.steps, std::max(plan, 1), options.steps));
    }
    Workload workload = split_workload(trace, plan, options.steps, options.in_sample);
    workload.digests = std::move(digests);
    if (workload.tokens > kMostTokens) {
      throw usage_error(fmt::format(
          "{} has a step of {} tokens, more than {}: if it holds totals of a run, draw "
          "steps from them with trace import ... --expand-multinomial --steps N --tokens T",
          options.trace, workload.tokens, kMostTokens));
    }
    if (options.tokens && *options.tokens != workload.tokens) {
      throw usage_error(fmt::format("{} has {} tokens a step, not {}: drop --tokens", options.trace,
                                    workload.tokens, *options.tokens));
    }
    change_tasks(workload.measured, parse_drift(options.drift), options.seed);
    workload.label =
        fmt::format("trace {} ({}{})", options.trace,
                    trace.has_ids() ? "per-token ids replayed"
                                    : "counts realised exactly, co-selection synthetic",
                    phases_of(workload.measured));
    return workload;
  }
  const int plan = options.in_sample ? 0 : options.plan_steps.value_or(kSyntheticPlanSteps);
  const Trace trace = synthetic_trace(
      options,
      synthetic_spec(model, plan + options.steps, tokens_per_step(options), options.seed, ranks));
  Workload workload = split_workload(trace, plan, options.steps, options.in_sample);
  workload.digests = digests_of(trace);
  change_tasks(workload.measured, parse_drift(options.drift), options.seed);
  workload.label = fmt::format("synthetic '{}' (co-selection synthetic)", options.preset);
  return workload;
}

std::string describe(const CostChoice& choice, CostKind first) {
  if (choice.rise)
    return fmt::format(
        "the profile holds no routed loads; even ones {} that active experts take time: it "
        "rises by {:.0f} % up to one token an expert{}",
        choice.rise->shows_experts() ? "show" : "do not show",
        std::max(0.0, choice.rise->share) * 100,
        std::isfinite(choice.rise->steeper)
            ? fmt::format(", {:.1f} times the slope beyond", choice.rise->steeper)
            : "");
  if (!choice.sum || !choice.per_expert) return "the profile holds no routed loads to judge it by";
  const bool swap = first == CostKind::per_expert;
  const RoutedError &one = swap ? *choice.per_expert : *choice.sum,
                    &other = swap ? *choice.sum : *choice.per_expert;
  return fmt::format(
      "off by {:.1f} % (median) and {:.1f} % (worst) on {} routed loads, '{}' by {:.1f} and {:.1f} "
      "%",
      one.median * 100, one.worst * 100, one.loads,
      name_of(swap ? CostKind::sum : CostKind::per_expert), other.median * 100, other.worst * 100);
}

CostDecision decide_cost(const std::string& asked, const Profile& profile, int slots) {
  const CostChoice choice = choose_cost(profile, slots);
  const CostKind kind = asked == "auto" ? choice.kind : cost_kind(asked);
  return {kind,
          fmt::format("{}: {}", asked == "auto" ? "auto" : "as asked", describe(choice, kind))};
}

CostModel cost_model(const std::string& asked, const Profile& profile, int slots) {
  return {profile, decide_cost(asked, profile, slots).kind, slots};
}

SplitRule split_rule(std::string_view name) {
  constexpr std::pair<std::string_view, SplitRule> kRules[] = {
      {"even", SplitRule::even},
      {"by-speed", SplitRule::by_speed},
      {"water-fill", SplitRule::water_fill},
      {"lp", SplitRule::least},
      {"one-per-source", SplitRule::one_per_source},
      {"local-first", SplitRule::local_first}};
  return std::ranges::find(kRules, name, [](const auto& row) { return row.first; })->second;
}

TokenRule token_rule(const std::string& name, const CostModel& cost) {
  if (name == "water-fill-blind") return {SplitRule::water_fill, equal_speeds(cost, cost.ranks())};
  if (name == "lp-blind") return {SplitRule::least, CostModel(equal_ranks(cost.ranks(), 1))};
  return {split_rule(name), cost};
}

SyntheticSpec synthetic_spec(const ModelShape& model, int steps, int tokens, std::uint64_t seed,
                             int ranks) {
  SyntheticSpec spec;
  spec.steps = steps;
  spec.layers = model.layers;
  spec.experts = model.experts;
  spec.topk = model.topk;
  spec.tokens = tokens;
  spec.seed = seed;
  spec.ranks = ranks;
  return spec;
}

Trace synthetic_trace(const LoadOptions& options, const SyntheticSpec& spec) {
  std::vector<SyntheticParameter> set;
  for (const std::string& text : options.set) {
    const auto equals = text.find('=');
    char* end = nullptr;
    const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    const double number = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0') {
      throw usage_error(fmt::format("--set '{}' is not NAME=NUMBER", text));
    }
    set.push_back({text.substr(0, equals), number});
  }
  if (options.alpha) set.push_back({"alpha", *options.alpha});
  return make_trace(options.preset, spec, set);
}

namespace {

std::vector<double> read_slowdowns(const std::string& path, int ranks) {
  std::vector<double> values = read_numbers(path, "factors");
  if (std::ranges::count(values, 0.0) > 0)
    throw usage_error(fmt::format("{} holds a factor of 0: give factors above 0", path));
  if (values.size() != static_cast<std::size_t>(ranks)) {
    throw usage_error(fmt::format("{} holds {} factors for {} ranks: give one for each", path,
                                  values.size(), ranks));
  }
  return values;
}

}  // namespace

std::vector<double> emulated_slowdown(const SlowdownOptions& options, int ranks,
                                      std::uint64_t seed) {
  std::vector<double> values = slowdown_of(options, ranks, seed);
  if (options.slowdown_from.empty()) return values;
  const double fastest = *std::min_element(values.begin(), values.end());
  for (double& value : values) value /= fastest;
  return values;
}

std::vector<double> slowdown_of(const SlowdownOptions& options, int ranks, std::uint64_t seed) {
  if (!options.slowdown.empty()) {
    if (static_cast<int>(options.slowdown.size()) != ranks) {
      throw usage_error(fmt::format("--slowdown has {} values for {} ranks: give one for each rank",
                                    options.slowdown.size(), ranks));
    }
    return options.slowdown;
  }
  if (options.slowdown_from.starts_with(kBuiltin)) {
    return builtin_slowdowns(options.slowdown_from.substr(kBuiltin.size()), ranks, seed);
  }
  if (!options.slowdown_from.empty()) return read_slowdowns(options.slowdown_from, ranks);
  std::vector<double> values(static_cast<std::size_t>(ranks), 1.0);
  if (options.variability == "none" || ranks == 1) return values;
  // Interpolate the four given values to any number of ranks, then shuffle them by the seed.
  const auto& known = options.variability == "low" ? kLow : kHigh;
  for (std::size_t r = 0; r < values.size(); ++r) {
    const double at = 3.0 * static_cast<double>(r) / static_cast<double>(ranks - 1);
    const auto below = std::min<std::size_t>(2, static_cast<std::size_t>(at));
    const double part = at - static_cast<double>(below);
    values[r] = known[below] * (1 - part) + known[below + 1] * part;
  }
  Random(fold(seed, 0x736c6f77)).shuffle(values);  // a stream of its own
  return values;
}

}  // namespace gembench::inline run
