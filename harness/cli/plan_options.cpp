#include "harness/cli/plan_options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/cli/offered_words.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/shared_options.hpp"
#include "harness/cli/strategy_rules.hpp"
#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/per_step/step_system.hpp"

namespace gembench::inline cli {
namespace {

void loads_and_speeds_options(OptionSet& set, ProblemOptions& o) {
  set.group("Planning without MPI");
  set.count("ranks", o.ranks, "ranks to place on (default: the profile's)").range(1, 65536);
  set.text("trace", o.trace, "FILE", "trace.h5 to plan on");
  set.text("profile", o.profile, "SOURCE",
           "profile.h5, or builtin:NAME for latencies measured by others (default: ranks of equal "
           "speed)")
      .offers(profile_words());
  set.text(
         "speeds", o.speeds, "KIND",
         "speeds of a measured profile to plan on: shrunk (every rank drawn to the mean as far as "
         "its speed does not last) or measured (as in the paper)")
      .one_of({"shrunk", "measured"});
  set.names("history", o.history, "FILE,...",
            "older profiles of the same ranks, or folders of them, which show how far speeds last")
      .needs("profile", "--history is for a measured profile: add --profile FILE, or drop it")
      .refused_if(
          [&o] { return o.profile.starts_with(kBuiltin); },
          "--history is for a measured profile and others measured the built-in ones: drop it")
      .refused_if([&o] { return o.speeds == "measured"; },
                  "--history has no effect on --speeds measured: drop one of them");
}

void plan_steps_options(OptionSet& set, ProblemOptions& o) {
  set.count("plan-steps", o.plan_steps,
            "plan on the first N steps only; score then judges on the other steps (default: all)")
      .range(1, 1e6);
  set.real("split", o.split, "SHARE",
           "like --plan-steps, as a share of the steps (0 = plan on all)")
      .range(0, 1)
      .excludes("plan-steps", "--split and --plan-steps exclude each other: drop one");
}

void assumed_speed_options(OptionSet& set, ProblemOptions& o) {
  slowdown_options(
      set, o,
      {"slowdown of every rank, on top of the profile", "none, low (7.7 %) or high (27.7 %)",
       "slowdowns drawn from real GPUs' (builtin:NAME), or read from a file, one factor per rank"});
  set.real("slowdown-floor", o.slowdown_floor, "F",
           "share of a rank's smallest latency that slowdowns do not stretch (memory-bound time)")
      .range(0, 1)
      .refused_if([&o] { return !o.slowed(); },
                  "--slowdown-floor limits a slowdown: add --slowdown, --variability or "
                  "--slowdown-from");
}

void problem_options(OptionSet& set, ProblemOptions& o) {
  loads_and_speeds_options(set, o);
  plan_steps_options(set, o);
  assumed_speed_options(set, o);
}

/// Numbers separated by commas; `unit` as in parse_real.
Option& list_option(OptionSet& set, const char* name, std::vector<double>& to, const char* unit,
                    const char* help) {
  return set.call(
      name, fmt::format("{0},{0},...", unit).c_str(), help,
      [&to, name, unit](const std::string& text) {
        to.clear();
        for (const std::string& part : split_list(text)) to.push_back(parse_real(name, unit, part));
      },
      [&to] { return OptionSet::Json(to); }, fmt::format("{}", fmt::join(to, ",")));
}

void node_options(OptionSet& set, ProblemOptions& o) {
  ranks_per_node_option(set, o,
                        "also report the bytes that dispatch sends between nodes of N ranks "
                        "(expected, not measured)");
  dispatch_option(set, o,
                  "with --ranks-per-node: a token goes to every rank that needs it (flat), or once "
                  "to each node (hierarchical)")
      .needs("ranks-per-node",
             "--dispatch is for traffic between nodes: add --ranks-per-node N, or drop it");
  set.real("token-bytes", o.token_bytes, "B",
           "with --ranks-per-node: bytes of a token (0 = from the profile's model)")
      .range(0, 1e9)
      .needs("ranks-per-node",
             "--token-bytes is for traffic between nodes: add --ranks-per-node N, or drop it");
  node_cost_options(set, o, [] { return true; });
  set.number("nodes", o.nodes, takers_of("nodes") + ": number of nodes").range(1, 65536);
  set.number("groups", o.groups,
             takers_of("groups") + ": groups of experts that stay on a node; 0 = one per node")
      .range(0, 65536);
  set.text("from", o.from, "FILE",
           "current placement, in any format that convert reads, from which moves are counted");
}

void per_step_options(OptionSet& set, PerStepOptions& o, const SlotOptions& slots,
                      const std::vector<std::string>& files) {
  set.group("Systems that rebalance every step");
  set.names("per-step", o.per_step, "A,B,...",
            "judge every placement also under these (see 'gembench list'): their masters are its "
            "experts, their redundant slots its spare ones")
      .offers(step_system_words())
      .correct([&o] {
        for (std::string& name : o.per_step) name = as_known(name, step_system_words());
      })
      .excludes("ablation", "--ablation and --per-step exclude each other: drop one")
      .refused_if(
          [&slots, &files] {
            return slots.spare_slots == 0 && slots.replicas == 0 && files.empty();
          },
          "--per-step needs redundant slots: add --spare-slots N");
  constexpr const char* kNeed =
      "--least-tokens and --solve-us are for systems that rebalance every step: add --per-step, or "
      "drop them";
  constexpr const char* kMoves =
      "--bandwidth, --expert-bytes and --hidden are for weights that move: add --per-step or "
      "--replan-every, or drop them";
  const auto nothing_moves = [&set] {
    return !set.given("per-step") && !set.given("replan-every");
  };
  set.number("least-tokens", o.least_tokens, "tokens that a fetched replica gets at least")
      .range(1, 1 << 24)
      .needs("per-step", kNeed);
  set.real("bandwidth", o.bandwidth, "B/S",
           "bytes per second at which a rank receives weights (default: one direction of an H100's "
           "NVLink; 0 = moves cost nothing)")
      .range(0, 1e15)
      .refused_if(nothing_moves, kMoves);
  set.real("expert-bytes", o.expert_bytes, "B",
           "bytes of an expert's weights (0 = from the profile's model)")
      .range(0, 1e15)
      .refused_if(nothing_moves, kMoves);
  set.real("hidden", o.hidden, "SHARE", "share of the time of moving weights that other work hides")
      .range(0, 1)
      .refused_if(nothing_moves, kMoves);
  set.real("solve-us", o.solve_us, "US",
           "microseconds that planning a layer takes in every step (UltraEP says below 100)")
      .range(0, 1e9)
      .needs("per-step", kNeed);
}

/// Judging what changes and what is uncertain.
void policy_options(OptionSet& set, ScoreCommand& o) {
  set.group("Replanning, and intervals");
  set.count("replan-every", o.replan_every,
            "judge every strategy that looks at loads also as a policy: replanned every N judged "
            "steps on the latest steps, with the time that its moves take")
      .range(1, 1e6)
      .refused_if([&o] { return o.split == 0 && !o.plan_steps && o.judge.empty(); },
                  "--replan-every needs steps that come after those planned on: add --split SHARE, "
                  "--plan-steps N or --judge FILE");
  set.number("max-moves", o.max_moves,
             "with --replan-every: replan by the swaps that save most, moving at most N experts "
             "per layer (0 = plan afresh)")
      .range(0, 1 << 24)
      .needs("replan-every",
             "--max-moves limits every replanning: add --replan-every N, or drop it");
  set.count("draws", o.draws,
            "intervals over N draws of what is uncertain: successive blocks of the judged steps, "
            "drawn slowdowns, errors of a measured profile (fewer than 20 give wide ones)")
      .range(kLeastDraws, 1000)
      .excludes("ablation", "--ablation and --draws exclude each other: drop one");
}

void seed_option(OptionSet& set, ProblemOptions& o) {
  set.group("Other");
  set.seed(o.seed, takers_of("seed") + "; also for drawn slowdowns");
}

}  // namespace

bool draws_speeds(const SlowdownOptions& o) {
  return o.variability != "none" || o.slowdown_from.starts_with(kBuiltin);
}

namespace {

/// Slowdowns may be drawn with any strategy.
std::vector<std::string_view> taken_anyway(const ProblemOptions& o) {
  if (draws_speeds(o)) return {"seed"};
  return {};
}

}  // namespace

void define(OptionSet& set, PlanCommand& o) {
  problem_options(set, o);
  set.group("Placement");
  const auto afresh = [&o] { return o.replan.max_moves == 0; };
  set.text("strategy", o.strategy, "NAME", "see 'gembench list'")
      .offers(strategy_words())
      .correct([&o] { o.strategy = as_known_placement(o.strategy); })
      .refused_if([afresh] { return !afresh(); },
                  "--max-moves rebalances --from and plans nothing: drop --strategy");
  cost_option(set, o.cost);
  slot_options(set, o);
  node_options(set, o);
  set.flag(
         "learning-curve", o.learning_curve,
         "also plan on quarters and halves of the steps, and say whether more recording would help "
         "(takes about 3 times as long)")
      .refused_if([afresh] { return !afresh(); },
                  "--learning-curve is of a strategy: drop --max-moves")
      .refused_if([&o] { return !looks_at_loads(o.strategy); },
                  "--learning-curve is of a strategy that plans on loads: choose another one")
      .refused_if([&o] { return o.format == "csv"; },
                  "--learning-curve does not fit the rows of --format csv: choose table or json");
  replan_options(
      set, o.replan,
      {"rebalance --from by the swaps that save most, moving at most N experts per layer (0 = plan "
       "from scratch)",
       "with --max-moves: only moves that pay within STEPS"},
      [&o] { return o.from.empty(); },
      "--max-moves rebalances a placement: name it with --from FILE", afresh,
      "--horizon limits the time in which moves must pay: add --max-moves N, or drop it");
  move_cost_options(set, o, afresh,
                    "--bandwidth says what moves cost: add --max-moves N, or drop it");
  output_options(set, o);
  format_option(set, o.format);
  quiet_option(set, o.quiet);
  seed_option(set, o);
  set.rule([&set, &o, afresh] {
    std::vector<std::string> strategies;
    if (afresh()) strategies.push_back(o.strategy);
    auto anyway = taken_anyway(o);
    if (!afresh()) anyway.emplace_back("token-split");
    require_takers(set, strategies, o, anyway);
    if (o.files.empty()) return;
    throw usage_error(fmt::format("plan accepts no file '{}': give --trace", o.files[0]));
  });
}

void define(OptionSet& set, ScoreCommand& o) {
  problem_options(set, o);
  set.text("judge", o.judge, "FILE",
           "trace.h5 to judge on, another recording of the same layers (default: --trace)");
  set.group("Placement");
  set.names("strategies", o.strategies, "A,B,...", "strategies to plan with and judge")
      .offers(strategy_words())
      .correct(
          [&o] { std::ranges::transform(o.strategies, o.strategies.begin(), as_known_placement); });
  set.flag("ablation", o.ablation,
           "judge each strategy also with mean or per-step loads and with equal or measured speeds")
      .excludes("token-split", "--ablation hides speeds that --token-split uses: drop one of them")
      .refused_if([&o] { return o.strategies.empty() && !o.files.empty(); },
                  "--ablation replans with less knowledge: name strategies with "
                  "--strategies, or drop it");
  cost_option(set, o.cost);
  slot_options(set, o);
  node_options(set, o);
  per_step_options(set, o, o, o.files);
  policy_options(set, o);
  set.group("Output", false);
  format_option(set, o.format);
  quiet_option(set, o.quiet);
  seed_option(set, o);
  set.rule([&set, &o] {
    auto names = o.planned();
    for (const std::string& file : o.files) names.push_back("file:" + file);
    auto anyway = taken_anyway(o);
    for (const std::string& name : o.per_step) static_cast<void>(find_step_system(name));
    if (!o.per_step.empty()) anyway.insert(anyway.end(), {"spare-slots", "replicas"});
    // Files are judged with the cost of their bytes.
    if (!o.files.empty()) anyway.insert(anyway.end(), {"node-cost", "node-costs"});
    require_takers(set, names, o, anyway);
    if (o.replan_every && std::ranges::none_of(o.planned(), looks_at_loads))
      throw usage_error(
          "--replan-every replans strategies that look at loads and none is named: add one such as "
          "gem to --strategies, or drop it");
  });
}

std::vector<std::string> AdviseCommand::named() const {
  std::vector<std::string> all{against};
  if (strategies.empty()) {
    all.insert(all.end(), {"eplb", "gem"});
  } else {
    all.insert(all.end(), strategies.begin(), strategies.end());
  }
  std::erase_if(all,
                [&](const std::string& name) { return &name != all.data() && name == against; });
  return all;
}

void define(OptionSet& set, AdviseCommand& o) {
  loads_and_speeds_options(set, o);
  assumed_speed_options(set, o);
  set.group("Placement");
  set.text("against", o.against, "NAME", "what runs today: a strategy, or file:PATH")
      .offers(strategy_words())
      .correct([&o] { o.against = as_known_placement(o.against); });
  set.names("strategies", o.strategies, "A,B,...",
            "strategies that may be better (default: eplb,gem)")
      .offers(strategy_words())
      .correct(
          [&o] { std::ranges::transform(o.strategies, o.strategies.begin(), as_known_placement); });
  set.real("min-gain", o.min_gain, "%",
           "least share of the time in MoE layers that a change must save")
      .range(0, 100);
  cost_option(set, o.cost);
  slot_options(set, o);
  set.text("to", o.to, "FORMAT",
           "with --output: format of the placement that is written if one is recommended; see "
           "'gembench list'")
      .offers(placement_format_words(true));
  output_options(set, o);
  table_or_json_option(set, o.format);
  quiet_option(set, o.quiet);
  seed_option(set, o);
  set.refuse_if(
      [&o] { return !o.output.empty() && draws_speeds(o); },
      "a placement for drawn speeds suits no real ranks: drop --output, or give the speeds "
      "with --profile or --slowdown");
  set.rule([&set, &o] {
    require_takers(set, o.named(), o, taken_anyway(o));
    if (o.files.empty()) return;
    throw usage_error(fmt::format("advise accepts no file '{}': give --trace", o.files[0]));
  });
}

void define(OptionSet& set, SensitivityCommand& o) {
  model_options(set, o, false);
  set.group("Loads and speeds");
  tokens_option(set, o, "tokens of a step over all ranks (default: 1024)")
      .refused_if([&o] { return o.token_sweep.size() > 1; },
                  "sensitivity accepts one value for --tokens, only run accepts several");
  set.number("steps", o.steps, "steps of a draw: the first half is planned on, the rest judged")
      .range(2, 1e6);
  list_option(set, "alphas", o.alphas, "A",
              "exponents of power-law loads: 0 = equal, 1.2 = very uneven")
      .range(0, 3);
  list_option(set, "spreads", o.spreads, "SHARE",
              "spreads of the ranks' speeds: 0.077 or 7.7% = the slowest takes 7.7 % longer than "
              "the fastest, the others evenly between")
      .range(0, 10);
  set.number("draws", o.draws, "draws of loads and of which rank is slow").range(1, 1000);
  set.count("ranks", o.ranks, "ranks to place on").range(1, 65536);
  set.text("profile", o.profile, "SOURCE",
           "profile.h5, or builtin:NAME for latencies measured by others (default: ranks of equal "
           "speed)")
      .offers(profile_words());
  set.group("Placement");
  set.names("strategies", o.strategies, "A,B,...",
            "strategies to plan with and judge; the first is what the others are compared with")
      .offers(strategy_words())
      .correct(
          [&o] { std::ranges::transform(o.strategies, o.strategies.begin(), as_known_placement); })
      .refused_if(
          [&o] {
            return std::ranges::any_of(o.strategies, [](const std::string& name) {
              return name.find("file:") != std::string::npos;
            });
          },
          "a file does not suit loads that are drawn: name strategies only");
  cost_option(set, o.cost);
  set.group("Output", false);
  format_option(set, o.format);
  quiet_option(set, o.quiet);
  set.group("Other");
  set.seed(o.seed, "of the first draw; the next one has the next number");
  set.refuse_if([&o] { return !o.ranks; }, "sensitivity needs --ranks N");
  set.refuse_if([&o] { return o.alphas.empty() || o.spreads.empty() || o.strategies.empty(); },
                "--alphas, --spreads and --strategies need at least one value each");
  set.rule([&set, &o] { require_takers(set, o.strategies, o, {"seed"}); });
}

}  // namespace gembench::inline cli
