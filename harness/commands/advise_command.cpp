#include <fmt/format.h>

#include <optional>

#include "harness/cli/option_values.hpp"
#include "harness/cli/plan_options.hpp"
#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"
#include "harness/report/advice_report.hpp"
#include "harness/run/advice.hpp"
#include "harness/run/layout.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/planning_speeds.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/profile_source.hpp"
#include "harness/run/speed_errors.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/cost/objective.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/files/whole_file.hpp"
#include "results/profile_file.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

/// Speeds that plans know: one set, or as many draws as plans are made. What a measured set may
/// be in truth.
class Speeds {
 public:
  Speeds(const AdviseCommand& options, const Trace& trace) {
    const ProfileFile measured =
        load_profile_file({AdviseCommand::kName, options.profile, options.ranks}, trace, source);
    const PlanningSpeeds planning = planning_speeds(options, measured);
    const Profile& profile = planning.profile;
    shrinkage = planning.shrinkage;
    ranks = profile.ranks;
    const StatedShape shape{ranks, trace.layers, trace.experts};
    asked = slots_of(options, shape, placed_slots(options.named(), shape));
    const bool drawn = draws_speeds(options);
    const auto errors = drawn ? std::vector<double>() : speed_errors(measured, shrinkage);
    const auto rule = [&](const Profile& of) {
      return token_rule(options.token_split, cost_model(options.cost, of, asked.even));
    };
    for (int draw = 0; draw < (drawn ? kAdvicePlans : 1); ++draw) {
      Profile slowed = profile;
      const auto seed = options.seed + static_cast<std::uint64_t>(draw);
      slow_down(slowed, slowdown_of(options, ranks, seed), options.slowdown_floor);
      known_.push_back(rule(slowed));
      for (int error = 0; !errors.empty() && error < kSpeedErrors; ++error)
        truths_.push_back(rule(drawn_error(slowed, errors, options.seed, error)));
    }
    if (drawn)
      source +=
          "; every plan with other drawn speeds, which the plans know: intervals are of the mean "
          "over such machines";
    if (!truths_.empty()) source += "; intervals allow for the errors of its medians";
    if (options.profile.empty() && !options.slowed())
      source += ": unequal GPUs are not allowed for; measure them with gembench profile";
    cost = name_of(known_[0].cost.kind());
  }
  [[nodiscard]] const TokenRule& at(int plan, std::optional<int> error = {}) const {
    return error ? truths_[static_cast<std::size_t>(*error)]
                 : known_[static_cast<std::size_t>(plan) % known_.size()];
  }
  [[nodiscard]] int errors() const { return static_cast<int>(truths_.size()); }

  int ranks = 0;
  SlotCount asked;
  std::string source, cost;
  std::optional<Shrinkage> shrinkage;

 private:
  std::vector<TokenRule> known_;   // [plan], or one
  std::vector<TokenRule> truths_;  // [error]; empty: not measured
};

/// The whole recording's plan, in an engine's format.
void write_plan(const AdviseCommand& options, const Trace& trace, const std::string& name,
                const Placement& placement, const OutputOwner& owner, AdviceContext& context) {
  PlacementFile file;
  file.placement = placement;
  file.layer_ids = trace.layer_ids;
  file.model_layers = trace.model_layers;
  file.seed = options.seed;
  file.trace_source = options.trace;
  file.profile_source = context.speeds;
  if (context.shrinkage) file.profile_source += "; " + to_text(*context.shrinkage);
  file.program = program_version();
  PlanningRecord record;
  if (const std::string path(file_in(name)); !path.empty())
    record = read_placement_file_for(path, trace, context.ranks)
                 .planned_on.value_or(PlanningRecord{{}, false});
  if (looks_at_loads(name))
    record.parts.push_back(planned_steps(digests_of(trace), 0, trace.steps));
  file.planned_on = record;
  const PlacementFormat& format = find_placement_format(options.to);
  write_whole_file(owner, checked_text(format, file), options.overwrite);
  context.file = options.output;
  context.use = fmt::format("{} ({})", format.usage(file, options.output), format.loaded_by);
}

}  // namespace

ExitCode execute(const AdviseCommand& options) {
  if (options.trace.empty()) throw usage_error("advise needs --trace FILE");
  std::optional<OutputOwner> owner;
  if (!options.output.empty()) {
    static_cast<void>(find_placement_format(options.to));
    owner.emplace(options.output);
    if (!options.overwrite) require_new(options.output);
    require_writable(options.output);
  }
  const Trace trace = read_trace(options.trace);
  const Speeds speeds(options, trace);
  AdviceContext context{options.trace,
                        trace.steps,
                        trace.requests,
                        speeds.ranks,
                        speeds.source + "; cost model " + speeds.cost,
                        speeds.shrinkage,
                        options.against,
                        options.min_gain / 100,
                        {},
                        "",
                        ""};
  const auto note = totals_note(options.trace, trace);
  if (!note.empty()) context.notes.push_back(note);
  const auto place = [&](const std::string& name, const Trace& steps, int plan) {
    const StopScope stop;
    const TokenRule& rule = speeds.at(plan);
    return plan_aloud(
        name, plan_input(options, options.seed, {speeds.asked}, steps, rule.cost, rule.spec()),
        options.quiet, "nothing was advised");
  };
  const auto seconds = [&](const Placement& placement, const Trace& steps, int plan,
                           std::optional<int> error) {
    const TokenRule& rule = speeds.at(plan, error);
    return objective(steps, placement, rule.cost, rule.spec());
  };
  const Advice advice =
      advise({trace, options.named(), context.least_gain, place, seconds, speeds.errors()});
  if (owner && advice.word == AdviceWord::recommended)
    write_plan(options, trace, advice.best, place(advice.best, trace, 0), *owner, context);
  else if (owner)
    context.notes.push_back(
        fmt::format("{} was not written: nothing is recommended", options.output));
  print_result("{}", advice_report(context, advice, options.format));
  return advice.word == AdviceWord::recommended       ? ExitCode::ok
         : advice.word == AdviceWord::not_recommended ? ExitCode::not_recommended
                                                      : ExitCode::insufficient_evidence;
}

}  // namespace gembench::inline commands
