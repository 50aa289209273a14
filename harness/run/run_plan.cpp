#include "harness/run/run_plan.hpp"

#include <fmt/format.h>

#include "harness/cli/device_kinds.hpp"
#include "harness/cli/option_values.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/printing.hpp"
#include "harness/run/broadcast.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/profile_fit.hpp"
#include "harness/run/profile_source.hpp"
#include "harness/run/same_run.hpp"
#include "harness/run/sizes.hpp"
#include "placement/base/error.hpp"
#include "placement/cost/node_targets.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/exact.hpp"
#include "placement/strategies/strategy.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {
namespace {

constexpr const char* kNothingKept = "nothing was measured yet";

PlanInput input_of(const Session& session, const Trace& loads, const CostModel& cost,
                   const SplitSpec& split) {
  const Topology& topology = session.topology;
  PlanRanks ranks{.asked = session.asked, .nodes = topology.nodes()};
  if (topology.nodes() > 1) {
    // Launchers fill one node after the other; only the last may be smaller.
    ranks.network = {topology.largest_node(), session.options.dispatch == "hierarchical",
                     static_cast<double>(session.row_bytes())};
    price_links(session.options, ranks.network);
  }
  return plan_input(session.options, session.options.seed, ranks, loads, cost, split);
}

Placement plan_strategy(const Session& session, const Trace& loads, const Profile& profile,
                        const std::string& strategy) {
  const CostModel cost(profile, session.cost, session.linear.slots);
  const TokenRule rule = token_rule(session.options.token_split, cost);
  Placement placement = with_slots(plan_aloud(strategy, input_of(session, loads, cost, rule.spec()),
                                              session.options.quiet, kNothingKept),
                                   session.slots);
  require_physical_slots(placement);
  return placement;
}

/// The loads and speeds that an oracle knows: the planning steps after these drifts.
struct Later {
  Trace loads;
  Profile profile;
};
Later after(const Session& session, const Profile& profile, std::vector<InjectedDrift> drifts) {
  for (InjectedDrift& drift : drifts) drift.step = 0;
  Later later{session.workload.plan, profile};
  change_tasks(later.loads, drifts, session.options.seed);
  const auto& before = session.slowdown;
  const auto slowdown = slowdown_at(before, drifts, 0);
  for (std::size_t rank = 0; rank < slowdown.size(); ++rank) {
    stretch(later.profile, static_cast<int>(rank), slowdown[rank] / before[rank]);
  }
  return later;
}

/// What an oracle replans for what every drift brings: [drift] first step and placement.
std::vector<std::pair<int, Placement>> plan_later(const Session& session, const Profile& profile,
                                                  const std::string& text) {
  const PlacementName name = parse_placement_name(text);
  const auto& drifts = session.drifts;
  std::vector<std::pair<int, Placement>> later;
  for (auto drift = drifts.begin(); drift != drifts.end(); ++drift) {
    const Later known = after(session, profile, {drifts.begin(), drift + 1});
    later.emplace_back(drift->step,
                       plan_strategy(session, known.loads, known.profile, name.strategy));
    later.back().second.strategy = text;
  }
  return later;
}

/// Usage error where a profile that was read is not one of these ranks, or of this clock.
void require_own_profile(const Session& session, const Profile& profile) {
  const SessionOptions& options = session.options;
  if (profile.ranks != session.comm.size()) {
    throw usage_error(fmt::format("{} holds {} ranks but {} run: measure one with gembench profile",
                                  options.profile, profile.ranks, session.comm.size()));
  }
  // Which clock ranks will have that are not there yet is not known, unless it is asked for.
  if (session.comm.is_simulated() && options.clock == "auto") return;
  const std::string mine{name_of(session.host_clock())};
  if (profile.clock == mine) return;
  const bool may_choose = device_kind(options.device).shows_cpu_time;
  throw usage_error(fmt::format(
      "{} was read on the {} clock and this run uses {}: {}measure one with gembench profile",
      options.profile, profile.clock, mine,
      may_choose ? fmt::format("pass --clock {}, or ", profile.clock) : std::string()));
}

void add_note(Session& session, const std::string& note) {
  std::string& notes = session.workload.notes;
  if (!note.empty()) notes += (notes.empty() ? "" : "; ") + note;
}

/// A sentence on a profile whose experts were computed in another way; else empty.
std::string other_products_note(const Session& session, const ProfileFile& file) {
  std::map<std::string, std::vector<std::string>> mine;
  for (const auto& [name, value] : session.device->facts()) mine[name] = {value};
  const auto other = other_known_products(file.rank_facts, mine);
  if (!other) return {};
  return fmt::format(
      "NOTE: {} was measured with {} {}, and this run has {}: predictions are those of the "
      "profile",
      session.options.profile, other->what, other->earlier, other->mine);
}

}  // namespace

void say(const Session& session, const std::string& text) {
  if (session.comm.rank() == 0 && !session.options.quiet) tell(text);
}

void say_failed_products(const Session& session) {
  const auto facts = session.device->facts();
  const auto failed = facts.find("expert_products_failed");
  if (failed == facts.end() || failed->second == "none") return;
  say(session, fmt::format("experts' products are left out that failed: {}", failed->second));
}

void require_plannable(const Session& session) {
  const Profile equal = equal_ranks(session.comm.size(), 1);
  const CostModel cost(equal);
  // One step of one layer: planners may reject only the shape.
  const Trace least = first_layers(slice(session.workload.plan, 0, 1), 1);
  const PlanInput input = input_of(session, least, cost, {});
  static_cast<void>(Targets(input.network, session.comm.size()));  // prices of links
  for (const std::string& text : session.options.placements) {
    const std::string name = parse_placement_name(text).strategy;
    if (!file_in(name).empty()) continue;
    if (name == "exact") require_exact_size(session.model.experts, session.comm.size());
    if (name.ends_with("eplb-hier")) static_cast<void>(plan_by_name(name, input));
    static_cast<void>(empty_plan(input, name));
  }
}

PlanProfile obtain_profile(Session& session) {
  if (session.clock == Clock::gpu_stamps && session.comm.rank() == 0) {
    add_note(session,
             "NOTE: the profile has the host's launches and waits in it and a graph has none: "
             "predictions of small loads are too high");
  }
  PlanProfile found;
  Profile& profile = found.profile;
  const std::string& path = session.options.profile;
  std::string products;  // a note
  if (session.comm.is_simulated() && (path.empty() || path.starts_with(kBuiltin))) {
    profile = load_profile({RunCommand::kName, path, session.comm.size()},
                           session.workload.measured, session.profile_source);
    slow_down(profile, session.slowdown, 0);
  } else if (path.empty()) {
    say(session, fmt::format("measuring every rank's expert latency ({:g} s)",
                             session.options.profile_seconds));
    MeasuredProfile measured = session.measure_profile(kNothingKept);
    return {std::move(measured.profile), std::move(measured.samples)};
  } else {
    on_root(session.comm, [&] {
      ProfileFile file = read_profile_file(path);
      profile = std::move(file.profile);
      found.samples = std::move(file.samples);
      require_own_profile(session, profile);
      products = other_products_note(session, file);
      require_profile_of(path, profile, session.shape_name(), session.linear.slots);
    });
  }
  if (session.comm.rank() == 0 && !path.empty()) {
    const Workload& workload = session.workload;
    for (const std::string& note :
         {other_model_note(path, profile, workload.measured, session.linear.slots),
          other_loads_note(path, profile, workload.measured), products}) {
      add_note(session, note);
    }
  }
  return found;
}

PlannedPlacements plan_all(const Session& session, const Profile& profile) {
  PlannedPlacements planned;
  on_root(session.comm, [&] {
    for (const std::string& text : session.options.placements) {
      const double begin = wall_seconds();
      const PlacementName name = parse_placement_name(text);
      Placement placement = plan_strategy(session, session.workload.plan, profile, name.strategy);
      if (name.is_dynamic()) placement.strategy = text;
      planned.placements.push_back(std::move(placement));
      planned.seconds.push_back(wall_seconds() - begin);
      say(session, fmt::format("planned {} in {:.3f} s", text, planned.seconds.back()));
    }
  });
  return planned;
}

std::vector<AdaptivePlacement> plan_adaptive(const Session& session, const Profile& profile) {
  std::vector<AdaptivePlacement> adaptive;
  for (const std::string& text : session.options.placements) {
    const PlacementName name = parse_placement_name(text);
    adaptive.push_back({name.adapts, {}});
    if (!name.oracle) continue;
    auto& later = adaptive.back().later;
    for (const InjectedDrift& drift : session.drifts) later.emplace_back(drift.step, Placement{});
    on_root(session.comm, [&] { later = plan_later(session, profile, text); });
    for (auto& [step, placement] : later) broadcast(session.comm, placement);
  }
  return adaptive;
}

}  // namespace gembench::inline run
