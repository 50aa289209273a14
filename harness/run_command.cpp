#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <set>

#include "harness/agreement.hpp"
#include "harness/commands.hpp"
#include "harness/measure.hpp"
#include "harness/report.hpp"
#include "harness/session.hpp"
#include "harness/version.hpp"
#include "placement/objective.hpp"
#include "placement/placement_file.hpp"
#include "placement/strategy.hpp"
#include "results/profile_file.hpp"
#include "results/run_writer.hpp"

extern char** environ;

namespace gembench {
namespace {

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

void say(const Session& session, const std::string& text) {
  if (session.comm.rank() == 0 && !session.options.quiet) {
    fmt::print(stderr, "gembench: {}\n", text);
  }
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

/// Collective: the profile to plan with, on rank 0: read, or measured now.
Profile obtain_profile(Session& session) {
  Profile profile;
  if (session.options.profile.empty()) {
    say(session, fmt::format("measuring every rank's expert latency ({:g} s)",
                             session.options.profile_seconds));
    return session.measure_profile();
  }
  on_root(session.comm, [&] {
    profile = read_profile(session.options.profile);
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
  return profile;
}

/// Collective: all placements on all ranks; planned on rank 0.
std::vector<Placement> plan_all(const Session& session, const Profile& profile) {
  const Options& options = session.options;
  std::vector<Placement> placements(options.placements.size(), session.linear);
  on_root(session.comm, [&] {
    const CostModel cost(profile);
    for (std::size_t i = 0; i < placements.size(); ++i) {
      const double begin = wall_seconds();
      const Strategy& strategy = find_strategy(options.placements[i]);
      placements[i] = strategy.plan({session.workload.plan, cost, options.seed});
      validate(placements[i]);
      say(session, fmt::format("planned {} in {:.3f} s", strategy.name, wall_seconds() - begin));
    }
  });
  for (Placement& placement : placements) {
    session.comm.broadcast(placement.slot_expert);
    session.comm.broadcast(placement.strategy);
  }
  return placements;
}

/// The strategies' names, made unique: "linear", "linear#2".
std::vector<std::string> labels_of(const std::vector<Placement>& placements) {
  std::vector<std::string> labels;
  for (const Placement& placement : placements) {
    std::string label = placement.strategy;
    for (int n = 2; std::find(labels.begin(), labels.end(), label) != labels.end(); ++n) {
      label = fmt::format("{}#{}", placement.strategy, n);
    }
    labels.push_back(label);
  }
  return labels;
}

/// Environment variables worth keeping beside results. An allow-list: a whole environment holds
/// secrets.
std::map<std::string, std::string> allowed_environment() {
  std::map<std::string, std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    for (const char* prefix : {"OMPI_MCA_", "SLURM_JOB", "SLURM_NTASKS", "SLURM_NNODES", "NCCL_",
                               "UCX_", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"}) {
      const auto equals = text.find('=');
      if (text.rfind(prefix, 0) == 0 && equals != std::string::npos) {
        kept["env_" + text.substr(0, equals)] = text.substr(equals + 1);
      }
    }
  }
  return kept;
}

/// Microseconds a rank's profile predicts for its share of an average step.
std::string profile_at_mean(const CostModel& cost, int rank, const Workload& workload) {
  const std::int64_t load = std::int64_t{workload.tokens} * workload.measured.topk / cost.ranks();
  return fmt::format("{:.1f}", cost.seconds(rank, load) * 1e6);
}

/// Rank 0: all that the file says before the first step. Collective for the ranks' own facts.
RunInfo describe(const Session& session, const Profile& profile,
                 const std::vector<Placement>& placements) {
  const Options& options = session.options;
  const auto hosts = session.comm.gather(session.place.host);
  const auto cpus = session.comm.gather(cpu_list(session.place.cpus));
  RunInfo info;
  if (session.comm.rank() != 0) return info;
  info.shape = {static_cast<int>(placements.size()),
                options.steps,
                session.model.layers,
                session.comm.size(),
                session.model.experts,
                session.linear.slots};
  info.placements = placements;
  info.labels = labels_of(placements);
  const CostModel cost(profile);
  for (const Placement& placement : placements) {
    const auto predicted = predicted_layer_seconds(session.workload.measured, placement, cost);
    info.predicted_layer_time.insert(info.predicted_layer_time.end(), predicted.begin(),
                                     predicted.end());
  }
  info.expert_tokens = session.workload.measured.tokens;
  info.profile = profile;
  info.slowdown = session.slowdown;
  info.clock = name_of(session.clock);
  info.config = to_json(options);
  info.command_line = options.command_line;
  info.seed = options.seed;
  info.block_steps = options.block;
  const std::size_t nodes = std::set<std::string>(hosts.begin(), hosts.end()).size();
  info.facts = allowed_environment();
  info.facts["program"] = program_version();
  info.facts["build"] = build_description();
  info.facts["mpi"] = MpiSession::library_version();
  info.facts["device"] = session.device->name();
  info.facts["nodes"] = fmt::format("{} node{}", nodes, nodes == 1 ? "" : "s");
  info.facts["started"] = utc_now();
  info.facts["clock_reason"] = session.clock_reason;
  info.facts["model"] = session.describe_model();
  info.facts["routing"] =
      fmt::format("{}, {} tokens a step", session.workload.label, session.workload.tokens);
  info.facts["trace_source"] = session.workload.measured.source;
  info.facts["plan"] = fmt::format(
      "planned on {}; {} steps measured in blocks of {}, {} discarded after every switch{}",
      options.in_sample ? std::string("the measured steps themselves (IN-SAMPLE)")
                        : fmt::format("{} earlier steps", session.workload.plan.steps),
      options.steps, options.block, options.warmup, options.resident ? ", experts resident" : "");
  info.facts["profile_source"] = options.profile.empty() ? "measured in this run" : options.profile;
  info.rank_facts["host"] = hosts;
  info.rank_facts["cpus"] = cpus;
  for (int rank = 0; rank < session.comm.size(); ++rank) {
    info.rank_facts["profile_us"].push_back(profile_at_mean(cost, rank, session.workload));
  }
  return info;
}

}  // namespace

void run_command(const Comm& comm, const Options& options) {
  std::unique_ptr<RunWriter> writer;
  on_root(comm, [&] {
    for (const std::string& name : options.placements) static_cast<void>(find_strategy(name));
    writer = std::make_unique<RunWriter>(options.output, options.overwrite);
  });
  Session session(comm, options);
  say(session, fmt::format("{} on {} ranks, clock {} ({})", session.describe_model(), comm.size(),
                           name_of(session.clock), session.clock_reason));
  const Profile profile = obtain_profile(session);
  const std::vector<Placement> placements = plan_all(session, profile);
  const RunInfo info = describe(session, profile, placements);
  on_root(comm, [&] { writer->describe(info); });

  const RunEnd end = measure({comm, *session.device, session.model, *session.store, *session.layers,
                              session.workload, placements, options, session.clock},
                             [&](const Block& block) { writer->write(block); });
  on_root(comm, [&] {
    writer->finish(end);
    fmt::print("{}", report(options.output, options.format));
    std::fflush(stdout);
  });
  int failed = end.check.passed ? 0 : 1;
  if (comm.max(failed) > 0) {
    throw AgreedError(ExitCode::failed, "the check failed: " + end.check.message);
  }
}

void profile_command(const Comm& comm, const Options& options) {
  on_root(comm, [&] {
    if (options.output.empty()) throw usage_error("profile needs --output FILE");
    if (!options.overwrite && std::filesystem::exists(options.output)) {
      throw Error(ExitCode::output, fmt::format("{} exists: pass --overwrite or choose another "
                                                "--output",
                                                options.output));
    }
  });
  Session session(comm, options);
  const Profile profile = session.measure_profile();
  on_root(comm, [&] {
    write_profile(options.output, profile, options.overwrite);
    fmt::print("# {}  {}  clock {} ({})\n", program_version(), profile.device, profile.clock,
               session.clock_reason);
    fmt::print("# {}\n", session.describe_model());
    fmt::print(
        "# median us of the expert phase, load spread evenly over {} experts; +- half the "
        "interquartile range\n# tokens",
        session.linear.slots);
    for (int rank = 0; rank < profile.ranks; ++rank)
      fmt::print("{:>20}", fmt::format("rank {}", rank));
    for (std::size_t knot = 0; knot < profile.knots.size(); ++knot) {
      fmt::print("\n{:>8}", profile.knots[knot]);
      for (int rank = 0; rank < profile.ranks; ++rank) {
        const double half = profile.spread[sz(rank) * profile.knots.size() + knot] / 2;
        fmt::print("{:>20}",
                   fmt::format("{:.1f} +- {:.1f}", profile.at(rank, knot) * 1e6, half * 1e6));
      }
    }
    fmt::print("\n# overhead");
    for (const double seconds : profile.overhead) fmt::print(" {:.1f}", seconds * 1e6);
    fmt::print(" us a layer (route and shared experts)\n# slowdown, emulated:");
    for (const double s : profile.slowdown) fmt::print(" {:.3f}", s);
    fmt::print("\n# result: {}\n", options.output);
    std::fflush(stdout);
  });
}

}  // namespace gembench
