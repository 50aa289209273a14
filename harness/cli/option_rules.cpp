#include "harness/cli/option_rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "harness/cli/drift_option.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/run_length.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/traffic_formats.hpp"
#include "placement/strategies/plan_by_name.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline cli {
namespace {

using O = Options;

bool slowed(const O& o) {
  return !o.slowdown.empty() || o.variability != "none" || !o.slowdown_from.empty();
}
bool one_slowdown(const O& o) {
  return int{!o.slowdown.empty()} + int{o.variability != "none"} + int{!o.slowdown_from.empty()} ==
         1;
}
bool adapts(const O& o) {
  return std::ranges::any_of(o.placements, [](const auto& p) { return live_name(p).adapts; });
}
bool one_placement(const O& o) {
  return o.placements.size() == 1 && !live_name(o.placements[0]).changes();
}
bool oracle_of_nothing(const O& o) {
  return o.drift.empty() &&
         std::ranges::any_of(o.placements, [](const auto& p) { return live_name(p).oracle; });
}
bool slows_nothing(const O& o) {
  return !slowed(o) && std::ranges::any_of(parse_drift(o.drift), [](const auto& drift) {
    return drift.kind == Drift::Kind::slow;
  });
}
bool drifts_too_late(const O& o) {
  return std::ranges::any_of(parse_drift(o.drift),
                             [&](const auto& drift) { return drift.step >= o.steps; });
}
bool no_intervals(const O& o) {
  return o.precision.value_or(0) > 0 && !compares_placements(o);
}
bool imports(const O& o) {
  return !o.files.empty() && o.files[0] == "import";
}
bool from_tokens(const O& o) {
  return o.window || o.batch || !o.arrivals.empty();
}
bool writes_placement(const O& o) {
  return !o.to.empty() && find_traffic_format(o.to) == nullptr;
}

/// An option of some commands ("" = all) that is refused where `wrong` says so.
struct Rule {
  std::string_view commands, option;
  bool (*wrong)(const O&);
  const char* sentence;
};

constexpr Rule kRules[] = {
    // Ranks and clocks
    {"", "lock-clocks", [](const O& o) { return o.device == "cpu"; },
     "--lock-clocks and --transport are for GPUs: add --device cuda, or drop them"},
    {"", "transport", [](const O& o) { return o.device == "cpu"; },
     "--lock-clocks and --transport are for GPUs: add --device cuda, or drop them"},
    {"", "device", [](const O& o) { return o.device == "cuda" && o.clock == "cpu-time"; },
     "--clock cpu-time cannot see a GPU's work: drop it, GPUs use wall"},
    {"", "slowdown", [](const O& o) { return !one_slowdown(o); },
     "--slowdown, --variability and --slowdown-from exclude each other: keep one"},
    {"", "variability", [](const O& o) { return !one_slowdown(o); },
     "--slowdown, --variability and --slowdown-from exclude each other: keep one"},
    {"", "whole-steps", slowed,
     "emulated slowdowns need the readings that --whole-steps drops: drop one"},
    {"", "whole-steps", [](const O& o) { return o.clock == "cpu-time"; },
     "--clock cpu-time reads phases and --whole-steps has none: drop one"},
    {"plan score", "slowdown-floor", [](const O& o) { return !slowed(o); },
     "--slowdown-floor limits a slowdown: add --slowdown, --variability or --slowdown-from"},
    {"run", "ranks", [](const O& o) { return !o.dry_run; },
     "--ranks of run stands for ranks that are not there: add --dry-run, or drop it"},
    // Model and loads
    {"run profile", "scale", [](const O& o) { return o.hidden && o.ffn; },
     "--hidden and --ffn leave --scale nothing to divide: drop it"},
    {"run profile", "preset", [](const O& o) { return o.routing != "synthetic"; },
     "--preset shapes synthetic loads: drop it, or --trace and --routing"},
    {"run", "trace", [](const O& o) { return o.routing != "trace"; },
     "--routing gate reads no --trace: drop one of them"},
    {"", "tokens", [](const O& o) { return o.token_sweep.size() > 1 && !o.trace.empty(); },
     "a trace has its own tokens: drop --tokens or --trace"},
    {"run", "record", [](const O& o) { return o.routing != "gate"; },
     "--record writes what the router decides: add --routing gate, or drop it"},
    {"run", "drift", [](const O& o) { return o.routing == "gate"; },
     "--drift changes loads that are known: drop it, or --routing gate"},
    {"run", "drift", drifts_too_late,
     "--drift begins after the last step: lower it, or add --steps"},
    {"run", "drift", slows_nothing,
     "--drift slow moves emulated slowdowns on: add --slowdown, --variability or --slowdown-from"},
    {"run", "plan-steps", [](const O& o) { return o.in_sample; },
     "--in-sample plans on the measured steps: drop it, or --plan-steps"},
    {"plan score", "split", [](const O& o) { return o.plan_steps.has_value(); },
     "--split and --plan-steps exclude each other: drop one"},
    // Placements
    {"run", "placements", oracle_of_nothing,
     "oracle: knows a drift beforehand and there is none: add --drift, or drop oracle:"},
    {"run", "precision", no_intervals,
     "--precision looks at intervals between placements that stay as they are: name several, "
     "without adapt:, oracle: and --drift, or give --steps instead"},
    {"run", "resident", one_placement,
     "--resident keeps the experts of several placements: name more, or drop it"},
    {"run", "max-moves", [](const O& o) { return !adapts(o); },
     "--max-moves and --horizon are for live adaptation: add --adapt, or drop them"},
    {"run", "horizon", [](const O& o) { return !adapts(o); },
     "--max-moves and --horizon are for live adaptation: add --adapt, or drop them"},
    {"", "node-cost", [](const O& o) { return !o.node_costs.empty(); },
     "--node-cost and --node-costs say the same: give one of them"},
    {"score", "ablation", [](const O& o) { return o.token_split != "even"; },
     "--ablation compares speeds that --token-split goes by: drop one of them"},
    {"score", "ablation", [](const O& o) { return o.strategies.empty() && !o.files.empty(); },
     "--ablation plans anew with less knowledge: name strategies with --strategies, or drop it"},
    {"plan score", "dispatch", [](const O& o) { return !o.ranks_per_node; },
     "--dispatch says what crosses between nodes: add --ranks-per-node N, or drop it"},
    {"plan score", "token-bytes", [](const O& o) { return !o.ranks_per_node; },
     "--token-bytes are those between nodes: add --ranks-per-node N, or drop it"},
    // Moves
    {"plan", "max-moves", [](const O& o) { return o.from.empty(); },
     "--max-moves mends a placement: name it with --from FILE"},
    {"plan", "horizon", [](const O& o) { return o.max_moves == 0; },
     "--horizon is the time in which moves must pay: add --max-moves N, or drop it"},
    {"plan", "bandwidth", [](const O& o) { return o.max_moves == 0; },
     "--bandwidth says what moves cost: add --max-moves N, or drop it"},
    {"plan", "strategy", [](const O& o) { return o.max_moves > 0; },
     "--max-moves mends --from and plans nothing: drop --strategy"},
    {"profile", "max-moves", [](const O& o) { return o.from.empty(); },
     "--max-moves judges a replan: name the placement in force with --placement FILE"},
    {"profile", "horizon", [](const O& o) { return o.from.empty(); },
     "--horizon judges a replan: name the placement in force with --placement FILE"},
    {"profile", "bandwidth", [](const O& o) { return o.from.empty(); },
     "--bandwidth judges a replan: name the placement in force with --placement FILE"},
    {"profile", "cost", [](const O& o) { return o.from.empty(); },
     "--cost judges a replan: name the placement in force with --placement FILE"},
    {"plan profile", "expert-bytes", [](const O& o) { return o.bandwidth == 0; },
     "--expert-bytes move at a --bandwidth: add it, or drop them"},
    // Comparison of profiles
    {"profile", "with", [](const O& o) { return o.compare.empty(); },
     "--with and --placement belong to a comparison: add --compare OLD.h5"},
    {"profile", "placement", [](const O& o) { return o.compare.empty(); },
     "--with and --placement belong to a comparison: add --compare OLD.h5"},
    {"profile", "placement", [](const O& o) { return o.trace.empty(); },
     "--placement is judged on loads: add --trace FILE"},
    {"profile", "with", [](const O& o) { return !o.output.empty(); },
     "--with measures nothing that --output could hold: drop one"},
    // Traces
    {"trace", "preset", imports, "--preset makes loads and import reads them: drop it"},
    {"trace", "set", imports, "--set makes loads and import reads them: drop it"},
    {"trace", "steps", [](const O& o) { return imports(o) && !o.expand_multinomial; },
     "--steps are drawn from run totals: add --expand-multinomial, or drop it"},
    {"trace", "rescale", [](const O& o) { return o.expand_multinomial || from_tokens(o); },
     "--rescale levels recorded steps, and these are made of totals or tokens: drop it"},
    {"trace", "shuffle", [](const O& o) { return !o.batch || !o.arrivals.empty(); },
     "--shuffle is for --batch: drop it"},
    {"trace", "max-steps", [](const O& o) { return !o.batch && o.arrivals.empty(); },
     "--max-steps is for --batch and --arrivals: drop it"},
    {"trace", "counts-only", [](const O& o) { return !o.arrivals.empty(); },
     "--arrivals keeps counts only: drop --counts-only"},
    {"trace", "step-seconds", [](const O& o) { return o.arrivals.empty(); },
     "--step-seconds times the engine that serves --arrivals: add them, or drop it"},
    {"trace", "token-seconds", [](const O& o) { return o.arrivals.empty(); },
     "--token-seconds times the engine that serves --arrivals: add them, or drop it"},
    {"trace", "max-batch-tokens", [](const O& o) { return o.arrivals.empty(); },
     "--max-batch-tokens is for the engine that serves --arrivals: add them, or drop it"},
    {"trace", "seed",
     [](const O& o) {
       return imports(o) && !o.expand_multinomial && !o.shuffle && o.arrivals.empty();
     },
     "--seed draws, and nothing is drawn here: drop it"},
    // Conversion
    {"convert", "layer", writes_placement, "--layer is for formats of traffic: drop it"},
    {"convert", "step", writes_placement, "--step is for formats of traffic: drop it"},
    {"convert", "token-bytes", writes_placement,
     "--token-bytes is for formats of traffic: drop it"},
    {"convert", "model", [](const O& o) { return o.first_layer || o.model_layers; },
     "--first-layer and --model-layers say what --model would: drop one of them"},
};

/// All that a command takes where `when` holds.
struct Only {
  std::string_view commands;
  bool (*when)(const O&);
  std::string_view options;
  const char* sentence;  ///< with a place for the option
};

constexpr Only kOnly[] = {
    {"profile", [](const O& o) { return !o.with.empty(); },
     "compare with placement trace routing cost max-moves horizon expert-bytes bandwidth format "
     "quiet",
     "--with compares two files and measures nothing: drop --{}"},
    {"trace", [](const O& o) { return !o.files.empty() && o.files[0] == "info"; }, "quiet",
     "trace info reads a trace and makes nothing: drop --{}"},
    {"trace", [](const O& o) { return !o.files.empty() && o.files[0] == "make"; },
     "model scale layers experts topk tokens preset set steps seed output overwrite quiet",
     "trace make takes no --{}, which is for recordings: drop it"},
};

/// Planning options, and which strategies take them.
struct Taken {
  std::string_view option;
  bool Takes::*by;
};

constexpr Taken kTaken[] = {
    {"spare-slots", &Takes::spare_slots},
    {"replicas", &Takes::replicas},
    {"token-split", &Takes::split},
    {"node-cost", &Takes::node_cost},
    {"node-costs", &Takes::node_cost},
    {"nodes", &Takes::nodes},
    {"groups", &Takes::nodes},
    {"seed", &Takes::seed},
};

/// The strategies of the table that take it.
std::string names_with(bool Takes::*by) {
  std::vector<std::string_view> names;
  for (const Strategy& strategy : strategy_table()) {
    if (strategy.takes.*by) names.push_back(strategy.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

bool is_in(std::string_view words, std::string_view word) {
  return fmt::format(" {} ", words).find(fmt::format(" {} ", word)) != std::string::npos;
}

/// Of the placements that the command plans, reads and judges.
std::vector<std::string> strategies_named(const O& o) {
  std::vector<std::string> names;
  if (o.command == "plan") {
    if (o.max_moves == 0) names.push_back(o.strategy);
  } else if (o.command == "score") {
    names = o.strategies.empty() && o.files.empty() ? o.placements : o.strategies;
    for (const std::string& file : o.files) names.push_back("file:" + file);
  } else if (o.command == "run") {
    for (const std::string& name : o.placements) names.push_back(live_name(name).strategy);
  }
  return names;
}

/// Whether the option does something whatever the strategies take.
bool works_anyway(const O& o, std::string_view option) {
  const bool drawn_speeds = o.variability != "none" || o.slowdown_from.starts_with(kBuiltin);
  if (option == "seed") return o.command == "run" || drawn_speeds;
  // Files are judged by what their bytes cost.
  if (option.starts_with("node-cost")) return o.command == "score" && !o.files.empty();
  // Experts move into slots that a strategy left empty.
  if (option == "spare-slots") return o.command == "run" && adapts(o);
  return option == "token-split" && o.max_moves > 0 && !o.from.empty();
}

void require_takers(const O& o, const std::set<std::string>& given) {
  const auto names = strategies_named(o);
  for (const std::string& name : names) require_known_name(name);
  for (const auto& [option, by] : kTaken) {
    if (!given.contains(std::string(option)) || works_anyway(o, option)) continue;
    if (names.empty()) {
      throw usage_error(
          fmt::format("--max-moves mends --from and plans nothing: drop --{}", option));
    }
    if (std::ranges::any_of(names, [&](const auto& name) { return takes_of(name).*by; })) continue;
    throw usage_error(fmt::format(
        "{}: drop it, or choose a strategy that does ({})",
        names.size() == 1 ? fmt::format("{} takes no --{}", names[0], option)
                          : fmt::format("none of {} takes --{}", fmt::join(names, ", "), option),
        takers_of(std::string(option))));
  }
}

/// --token-split where nothing can have a replica.
void require_replicas(const O& o, const std::set<std::string>& given) {
  const auto names = strategies_named(o);
  if (!given.contains("token-split") || o.replicas > 0 || names.empty()) return;
  const auto has_some = [&](const std::string& name) {
    const Takes takes = takes_of(name);
    return o.spare_slots > 0 ? takes.fills || !takes.replicas : !takes.replicas;
  };
  for (const std::string& name : names) {
    if (takes_of(name).split && has_some(name)) return;  // it fills spare slots, or is a file
  }
  throw usage_error(
      "--token-split shares tokens among replicas and there are none: add --replicas N, or drop "
      "it");
}

}  // namespace

void require_effect(const Options& o, const std::set<std::string>& given) {
  for (const Rule& rule : kRules) {
    const bool here = rule.commands.empty() || is_in(rule.commands, o.command);
    if (here && given.contains(std::string(rule.option)) && rule.wrong(o)) {
      throw usage_error(rule.sentence);
    }
  }
  for (const Only& only : kOnly) {
    if (!is_in(only.commands, o.command) || !only.when(o)) continue;
    for (const std::string& option : given) {
      if (!is_in(only.options, option)) {
        throw usage_error(fmt::format(fmt::runtime(only.sentence), option));
      }
    }
  }
  if (o.command != "plan" && o.command != "score" && o.command != "run") return;
  require_takers(o, given);
  require_replicas(o, given);
}

std::string takers_of(const std::string& option) {
  return names_with(std::ranges::find(kTaken, option, &Taken::option)->by);
}

std::string fillers() {
  return names_with(&Takes::fills);
}

std::string taken_by(const std::string& strategy) {
  std::vector<std::string> options;
  for (const auto& [option, by] : kTaken) {
    if (takes_of(strategy).*by) options.push_back(fmt::format("--{}", option));
  }
  return fmt::format("{}", fmt::join(options, " "));
}

}  // namespace gembench::inline cli
