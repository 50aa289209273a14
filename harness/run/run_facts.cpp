#include "harness/run/run_facts.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "harness/cli/command_line.hpp"
#include "harness/cli/device_kinds.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/run_length.hpp"
#include "harness/cli/version.hpp"
#include "harness/run/devices.hpp"
#include "harness/run/kept_environment.hpp"
#include "harness/run/labels.hpp"
#include "harness/run/quiet.hpp"
#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/cpu/noise_probe.hpp"
#include "moe_layer/cpu/state.hpp"
#include "moe_layer/machine_state.hpp"
#include "placement/cost/objective.hpp"
#include "results/hdf5/library.hpp"

namespace gembench::inline run {
namespace {

/// The physical cores of a rank's CPUs, as the lowest CPU number of each.
std::string cores_of(const RankPlace& place) {
  std::vector<int> cores = place.cores;
  std::ranges::sort(cores);
  const auto again = std::ranges::unique(cores);
  cores.erase(again.begin(), again.end());
  return cpu_list(cores);
}

/// Microseconds that a rank's profile predicts for its share of an average step.
std::string profile_at_mean(const CostModel& cost, int rank, const Workload& workload) {
  const std::int64_t load = std::int64_t{workload.tokens} * workload.measured.topk / cost.ranks();
  return fmt::format("{:.1f}", cost.seconds(rank, load) * 1e6);
}

}  // namespace

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

std::map<std::string, std::string> facts_of(const Session& session, const RunCommand& options) {
  std::map<std::string, std::string> facts = kept_environment(environ);
  const int nodes = session.topology.nodes();
  facts["program"] = program_version();
  facts["build"] = build_description();
  facts["mpi"] = MpiSession::library_version();
  facts["device"] = session.device->name();
  facts["onednn"] = cpu_gemm_version();
  facts["hdf5"] = h5::library_version();
  facts["hwloc"] = hwloc_version();
  if (!device_kind(options.device).gpu) facts["ranks_share"] = name_of(session.sharing);
  facts["nodes"] = fmt::format("{} node{}{}", nodes, nodes == 1 ? "" : "s",
                               options.ranks_per_node ? " (as stated)" : "");
  facts["started"] = utc_now();
  facts["clock_reason"] = session.clock_reason;
  if (options.whole_steps) facts["whole_steps"] = "yes";
  if (options.launch != "phases") facts["launch"] = options.launch;
  facts["model"] = session.describe_model();
  facts["routing"] = fmt::format("{}, {} tokens a step", session.workload.label,
                                 tokens_of_steps(session.workload.measured));
  facts["trace_digest"] = digest(session.workload.measured);
  facts["trace_source"] = session.workload.measured.source;
  facts["plan"] = fmt::format(
      "planned on {}; {} {} steps measured, {}",
      options.in_sample ? std::string("the measured steps themselves (IN-SAMPLE)")
                        : fmt::format("{} earlier steps", session.workload.plan.steps),
      may_end_early(options) ? "at most" : "exactly", options.steps, describe(session.alternation));
  facts["alternation"] = session.alternation.resident ? "resident" : "moving";
  if (!session.workload.files.empty()) facts["placement_files"] = session.workload.files;
  if (!session.workload.notes.empty()) facts["notes"] = session.workload.notes;
  if (!options.config_from.empty()) facts["replayed_from"] = options.config_from;
  if (options.spare_slots > 0 || options.replicas > 0) facts["token_split"] = options.token_split;
  if (!session.drifts.empty()) facts["drift"] = to_text(session.drifts);
  facts["cost"] = name_of(session.cost);
  facts["cost_reason"] = session.cost_reason;
  facts["profile_source"] = session.profile_source;
  return facts;
}

RunShape shape_of(const Session& session, std::size_t segments) {
  return {static_cast<int>(session.options.placements.size()),
          session.options.steps,
          session.model.layers,
          session.comm.size(),
          session.model.experts,
          session.slots,
          static_cast<int>(segments)};
}

RunInfo describe(const Session& session, const RunCommand& options, const Profile& profile,
                 const std::vector<Placement>& placements, const std::vector<Segment>& schedule,
                 const std::optional<Identity>& identity) {
  const auto hosts = session.comm.gather(session.place.host);
  const auto cpus = session.comm.gather(cpu_list(session.place.cpus));
  RunInfo info;
  info.rank_facts["cores"] = session.comm.gather(cores_of(session.place));
  for (const auto& [name, value] : machine_settings(current_cpu())) {
    info.rank_facts[name] = session.comm.gather(value);
  }
  info.quiet_before = read_quiet(session);
  info.rank_facts["barrier_floor"] =
      session.comm.gather(fmt::format("{:.2f} us", measure_barrier_floor(session.comm) * 1e6));
  for (const auto& [name, value] : session.device->facts()) {
    info.rank_facts[name] = session.comm.gather(value);
  }
  info.gpu_before = read_states(session.comm, *session.device);
  if (session.comm.rank() != 0) return info;
  info.shape = shape_of(session, schedule.size());
  info.segments = schedule;
  info.model = {session.model.topk, session.model.shared, session.model.hidden, session.model.ffn,
                static_cast<int>(session.row_bytes())};
  info.placements = placements;
  info.labels = labels_of(placements);
  const CostModel cost(profile);
  const CostModel by_experts(profile, CostKind::per_expert, session.linear.slots);
  const TokenRule rule =
      token_rule(options.token_split, CostModel(profile, session.cost, session.linear.slots));
  const auto predict = [&](const CostModel& model, std::vector<double>& all) {
    for (const Placement& placement : placements) {
      const auto one =
          predicted_layer_seconds(session.workload.measured, placement, model, rule.spec());
      all.insert(all.end(), one.begin(), one.end());
    }
  };
  predict(cost, info.predicted_layer_time);
  predict(by_experts, info.predicted_by_experts);
  info.expert_tokens = session.workload.measured.tokens;
  info.profile = profile;
  info.slowdown = session.slowdown;
  info.check = options.check;
  info.clock = name_of(session.clock);
  info.config = to_json(options);
  info.command_line = options.command_line;
  info.seed = options.seed;
  for (int rank = 0; rank < session.comm.size(); ++rank) {
    info.topology.push_back({session.topology.node(rank), session.topology.local_rank(rank)});
  }
  info.facts = facts_of(session, options);
  if (!session.drifts.empty()) {
    for (int step = 0; step < options.steps; ++step) {
      const auto now = slowdown_at(session.slowdown, session.drifts, step);
      info.slowdown_by_step.insert(info.slowdown_by_step.end(), now.begin(), now.end());
    }
  }
  for (const std::string& name : options.placements)
    info.adapts |= parse_placement_name(name).adapts;
  info.rank_facts["host"] = hosts;
  info.rank_facts["cpus"] = cpus;
  for (int rank = 0; rank < session.comm.size(); ++rank) {
    info.rank_facts["profile_us"].push_back(profile_at_mean(cost, rank, session.workload));
  }
  if (identity) anonymise(info, *identity);
  return info;
}

}  // namespace gembench::inline run
