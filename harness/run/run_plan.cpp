#include "harness/run/run_plan.hpp"

#include <fmt/format.h>

#include "harness/cli/placement_names.hpp"
#include "harness/cli/printing.hpp"
#include "harness/run/broadcast.hpp"
#include "harness/run/byte_costs.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/plan_progress.hpp"
#include "harness/run/profile_fit.hpp"
#include "placement/base/error.hpp"
#include "placement/cost/node_targets.hpp"
#include "placement/strategies/exact.hpp"
#include "placement/strategies/plan_by_name.hpp"
#include "placement/strategies/strategy.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline run {
namespace {

constexpr const char* kNothingKept = "nothing was measured yet";

PlanInput input_of(const PlanOn& on, const Trace& loads, const CostModel& cost,
                   const SplitSpec& split) {
  const Topology& topology = on.layout.topology;
  PlanRanks ranks{.asked = on.layout.asked, .nodes = topology.nodes()};
  if (topology.nodes() > 1) {
    // Launchers fill one node after the other; only the last may be smaller.
    ranks.network = {topology.largest_node(), on.options.dispatch == "hierarchical",
                     static_cast<double>(on.row_bytes)};
    price_links(on.options, ranks.network);
  }
  return plan_input(on.options, on.options.seed, ranks, loads, cost, split);
}

Placement plan_strategy(const PlanOn& on, const Trace& loads, const Profile& profile,
                        const std::string& strategy) {
  const CostModel cost(profile, on.cost, on.layout.linear.slots);
  const TokenRule rule = token_rule(on.options.token_split, cost);
  Placement placement = with_slots(
      plan_aloud(strategy, input_of(on, loads, cost, rule.spec()), on.options.quiet, kNothingKept),
      on.layout.slots);
  require_physical_slots(placement);
  return placement;
}

/// The loads and speeds that an oracle knows: the planning steps after these drifts.
struct Later {
  Trace loads;
  Profile profile;
};
Later after(const PlanOn& on, const Profile& profile, std::vector<InjectedDrift> drifts) {
  for (InjectedDrift& drift : drifts) drift.step = 0;
  Later later{on.loads, profile};
  change_tasks(later.loads, drifts, on.options.seed);
  const auto& before = on.layout.slowdown;
  const auto slowdown = slowdown_at(before, drifts, 0);
  for (std::size_t rank = 0; rank < slowdown.size(); ++rank) {
    stretch(later.profile, static_cast<int>(rank), slowdown[rank] / before[rank]);
  }
  return later;
}

PlanOn plan_on(const Session& session) {
  return {session.options, session, session.workload.plan, session.cost,
          session.layers->row_bytes()};
}

}  // namespace

void say(const Session& session, const std::string& text) {
  if (session.comm.rank() == 0 && !session.options.quiet) tell(text);
}

void require_plannable(const Session& session) {
  const PlanOn on = plan_on(session);
  const Profile equal = equal_ranks(session.comm.size(), 1);
  const CostModel cost(equal);
  // One step of one layer: planners may reject only the shape.
  const Trace least = first_layers(slice(on.loads, 0, 1), 1);
  const PlanInput input = input_of(on, least, cost, {});
  static_cast<void>(Targets(input.network, session.comm.size()));  // prices of links
  for (const std::string& text : session.options.placements) {
    const std::string name = parse_placement_name(text).strategy;
    if (!file_in(name).empty()) continue;
    if (name == "exact") require_exact_size(on.loads.experts, session.comm.size());
    if (name.ends_with("eplb-hier")) static_cast<void>(plan_by_name(name, input));
    static_cast<void>(empty_plan(input, name));
  }
}

PlanProfile obtain_profile(Session& session) {
  PlanProfile found;
  Profile& profile = found.profile;
  if (session.options.profile.empty()) {
    say(session, fmt::format("measuring every rank's expert latency ({:g} s)",
                             session.options.profile_seconds));
    MeasuredProfile measured = session.measure_profile(kNothingKept);
    return {std::move(measured.profile), std::move(measured.samples)};
  }
  on_root(session.comm, [&] {
    ProfileFile file = read_profile_file(session.options.profile);
    profile = std::move(file.profile);
    found.samples = std::move(file.samples);
    require_own_profile(session.options, profile, session.comm.size(),
                        std::string(name_of(session.clock)));
    require_profile_of(session.options.profile, profile, session.shape_name(),
                       session.linear.slots);
    session.workload.notes +=
        other_loads_note(session.options.profile, profile, session.workload.measured);
  });
  return found;
}

void require_own_profile(const SessionOptions& options, const Profile& profile, int ranks,
                         const std::string& clock) {
  if (profile.ranks != ranks) {
    throw usage_error(fmt::format("{} holds {} ranks but {} run: measure one with gembench profile",
                                  options.profile, profile.ranks, ranks));
  }
  if (profile.clock != clock) {
    throw usage_error(
        fmt::format("{} was read on the {} clock and this run uses {}: pass --clock "
                    "{}, or measure one with gembench profile",
                    options.profile, profile.clock, clock, profile.clock));
  }
}

Placement plan_first(const PlanOn& on, const Profile& profile, const std::string& text) {
  const PlacementName name = parse_placement_name(text);
  Placement placement = plan_strategy(on, on.loads, profile, name.strategy);
  if (name.is_dynamic()) placement.strategy = text;
  return placement;
}

std::vector<std::pair<int, Placement>> plan_later(const PlanOn& on, const Profile& profile,
                                                  const std::string& text) {
  const PlacementName name = parse_placement_name(text);
  const auto& drifts = on.layout.drifts;
  std::vector<std::pair<int, Placement>> later;
  for (auto drift = drifts.begin(); name.oracle && drift != drifts.end(); ++drift) {
    const Later known = after(on, profile, {drifts.begin(), drift + 1});
    later.emplace_back(drift->step, plan_strategy(on, known.loads, known.profile, name.strategy));
    later.back().second.strategy = text;
  }
  return later;
}

std::vector<Placement> plan_all(const Session& session, const Profile& profile) {
  std::vector<Placement> placements;
  on_root(session.comm, [&] {
    for (const std::string& name : session.options.placements) {
      const double begin = wall_seconds();
      placements.push_back(plan_first(plan_on(session), profile, name));
      say(session, fmt::format("planned {} in {:.3f} s", name, wall_seconds() - begin));
    }
  });
  return placements;
}

std::vector<AdaptivePlacement> plan_adaptive(const Session& session, const Profile& profile) {
  std::vector<AdaptivePlacement> adaptive;
  for (const std::string& text : session.options.placements) {
    const PlacementName name = parse_placement_name(text);
    adaptive.push_back({name.adapts, {}});
    if (!name.oracle) continue;
    auto& later = adaptive.back().later;
    for (const InjectedDrift& drift : session.drifts) later.emplace_back(drift.step, Placement{});
    on_root(session.comm, [&] { later = plan_later(plan_on(session), profile, text); });
    for (auto& [step, placement] : later) broadcast(session.comm, placement);
  }
  return adaptive;
}

}  // namespace gembench::inline run
