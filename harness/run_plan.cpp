#include "harness/run_plan.hpp"

#include <fmt/format.h>

#include "harness/agreement.hpp"
#include "harness/byte_costs.hpp"
#include "placement/error.hpp"
#include "placement/strategy.hpp"
#include "results/profile_file.hpp"

namespace gembench {
namespace {

PlanInput plan_input(const Session& session, const CostModel& cost, const SplitSpec& split) {
  PlanInput input{session.workload.plan, cost, session.options.seed};
  input.replicas = session.options.replicas;
  input.split = split;
  // Without spare slots planners make sure themselves that experts divide by ranks.
  input.slots = session.options.spare_slots > 0 ? session.slots : 0;
  const Topology& topology = session.topology;
  input.nodes = topology.nodes();
  if (topology.nodes() > 1) {
    // Launchers fill one node after the other; only the last may be smaller.
    input.network = {topology.largest_node(), session.options.dispatch == "hierarchical",
                     static_cast<double>(session.layers->row_bytes())};
    price_links(session.options, input.network);
  }
  return input;
}

/// The loads and speeds that an oracle knows: those planned on, after these drifts.
struct Later {
  Trace loads;
  Profile profile;
};
Later after(const Session& session, const Profile& profile, std::vector<Drift> drifts) {
  for (Drift& drift : drifts) drift.step = 0;
  Later later{session.workload.plan, profile};
  change_tasks(later.loads, drifts, session.options.seed);
  const auto slowdown = slowdown_at(session.slowdown, drifts, 0);
  for (std::size_t rank = 0; rank < slowdown.size(); ++rank) {
    stretch(later.profile, static_cast<int>(rank), slowdown[rank] / session.slowdown[rank]);
  }
  return later;
}

}  // namespace

void say(const Session& session, const std::string& text) {
  if (session.comm.rank() == 0 && !session.options.quiet) {
    fmt::print(stderr, "gembench: {}\n", text);
  }
}

PlanProfile obtain_profile(Session& session) {
  PlanProfile found;
  Profile& profile = found.profile;
  if (session.options.profile.empty()) {
    say(session, fmt::format("measuring every rank's expert latency ({:g} s)",
                             session.options.profile_seconds));
    MeasuredProfile measured = session.measure_profile("nothing was measured yet");
    return {std::move(measured.profile), std::move(measured.samples)};
  }
  on_root(session.comm, [&] {
    ProfileFile file = read_profile_file(session.options.profile);
    profile = std::move(file.profile);
    found.samples = std::move(file.samples);
    if (profile.ranks != session.comm.size()) {
      throw usage_error(
          fmt::format("{} holds {} ranks but {} run: measure one with gembench profile",
                      session.options.profile, profile.ranks, session.comm.size()));
    }
    if (profile.clock != name_of(session.clock)) {
      throw usage_error(fmt::format(
          "{} was read on the {} clock and this run uses {}: pass --clock "
          "{}, or measure one with gembench profile",
          session.options.profile, profile.clock, name_of(session.clock), profile.clock));
    }
  });
  return found;
}

std::vector<Placement> plan_all(const Session& session, const Profile& profile) {
  const Options& options = session.options;
  std::vector<Placement> placements;
  on_root(session.comm, [&] {
    const CostModel cost(profile, session.cost, session.linear.slots);
    const TokenRule rule = token_rule(options.token_split, cost);
    const PlanInput input = plan_input(session, cost, rule.spec());
    for (const std::string& name : options.placements) {
      const double begin = wall_seconds();
      placements.push_back(
          with_slots(plan_by_name(live_name(name).strategy, input), session.slots));
      if (live_name(name).changes()) placements.back().strategy = name;
      validate(placements.back());
      say(session, fmt::format("planned {} in {:.3f} s", name, wall_seconds() - begin));
    }
  });
  return placements;
}

std::vector<LivePlacement> plan_live(const Session& session, const Profile& profile) {
  const Options& options = session.options;
  std::vector<LivePlacement> live;
  for (const std::string& text : options.placements) {
    const LiveName name = live_name(text);
    live.push_back({name.adapts, {}});
    for (std::size_t i = 0; name.oracle && i < session.drifts.size(); ++i) {
      const auto end = session.drifts.begin() + static_cast<std::ptrdiff_t>(i) + 1;
      Placement placement = with_slots(session.linear, session.slots);
      on_root(session.comm, [&] {
        const Later later = after(session, profile, {session.drifts.begin(), end});
        const CostModel cost(later.profile, session.cost, session.linear.slots);
        const TokenRule rule = token_rule(options.token_split, cost);
        const PlanInput input = plan_input(session, cost, rule.spec()).with(later.loads, cost);
        placement = with_slots(plan_by_name(name.strategy, input), session.slots);
        placement.strategy = text;
      });
      session.comm.broadcast(placement.slot_expert);
      session.comm.broadcast(placement.strategy);
      live.back().later.emplace_back(session.drifts[i].step, placement);
    }
  }
  return live;
}

void share(const Session& session, std::vector<Placement>& placements) {
  placements.resize(session.options.placements.size(), with_slots(session.linear, session.slots));
  for (Placement& placement : placements) {
    session.comm.broadcast(placement.slot_expert);
    session.comm.broadcast(placement.strategy);
  }
}

}  // namespace gembench
