#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "harness/agreement.hpp"
#include "harness/commands.hpp"
#include "harness/devices.hpp"
#include "harness/dry_run.hpp"
#include "harness/measure.hpp"
#include "harness/report.hpp"
#include "harness/resume.hpp"
#include "harness/run_facts.hpp"
#include "harness/run_plan.hpp"
#include "harness/stop.hpp"
#include "placement/profile_dents.hpp"
#include "placement/strategy.hpp"
#include "results/run_writer.hpp"
#include "results/trace_file.hpp"

namespace gembench {
namespace {

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

void print(const Comm& comm, const std::string& text) {
  if (comm.rank() != 0) return;
  fmt::print("{}", text);
  std::fflush(stdout);
}

/// Collective: the expert phase once more after the last step, at the loads of the first profile;
/// [rank][knot] on rank 0. Loads of a profile from elsewhere may be more than this run can hold.
std::vector<double> profile_again(Session& session, const Profile& before) {
  say(session, "measuring the profile again");
  const bool own = session.options.profile.empty();
  const Profile now =
      session.measure_profile("", own ? before.knots : std::vector<std::int64_t>{}).profile;
  std::vector<double> latency;
  if (session.comm.rank() != 0) return latency;
  const CostModel cost(now);
  for (int rank = 0; rank < before.ranks; ++rank) {
    for (const auto load : before.knots) {
      latency.push_back(cost.seconds(rank, load) - now.overhead[sz(rank)]);
    }
  }
  return latency;
}

/// The run of one --tokens: everything from an empty or unfinished file to the printed table.
class Run {
 public:
  Run(const Comm& comm, const Options& options, Progress& progress)
      : comm_(comm), options_(options), progress_(progress) {}

  void go() {
    open_file();
    if (earlier_ == Earlier::complete) {
      print(comm_, comm_.rank() == 0 ? report(options_.output, options_.format) : "");
      return;
    }
    Session session(comm_, options_, progress_);
    record(session.workload);
    say(session, fmt::format("{} on {} ranks, clock {} ({})", session.describe_model(),
                             comm_.size(), name_of(session.clock), session.clock_reason));
    schedule_ = make_schedule(options_.steps, options_.block,
                              static_cast<int>(options_.placements.size()), options_.seed);
    plan(session);
    if (options_.dry_run) {
      print(comm_, dry_run(session, profile_, placements_, schedule_));
      return;
    }
    begin_file(session);
    const double begin = wall_seconds();
    RunEnd end = measure(session, {placements_, token_rule_->spec(), live_, &profile_}, schedule_,
                         finished_turns(comm_, reader_.get()),
                         [&](const Block& block) { writer_->write(block); });
    seconds_["measure"] = wall_seconds() - begin;
    end.gpu_after = read_states(comm_, *session.device);
    end.profile_after = profile_again(session, profile_);
    finish(end);
  }

 private:
  /// Looks at the output first: what is wrong there shows before any work is done.
  void open_file() {
    int earlier = 0;
    on_root(comm_, [&] {
      for (const std::string& name : options_.placements) {
        require_known_name(live_name(name).strategy);
      }
      if (options_.dry_run) return;
      if (options_.resume) earlier_ = find_earlier(options_.output);
      if (earlier_ == Earlier::unfinished) {
        reader_ = std::make_unique<RunReader>(options_.output + ".partial");
        require_static("--resume");
      } else if (earlier_ == Earlier::nothing) {
        writer_ =
            std::make_unique<RunWriter>(options_.output, options_.overwrite || options_.resume);
      }
      if (!options_.record.empty() && earlier_ != Earlier::complete) {
        recorder_ =
            std::make_unique<TraceWriter>(options_.record, options_.overwrite || options_.resume);
      }
      earlier = static_cast<int>(earlier_);
    });
    std::vector<int> known{earlier};
    comm_.broadcast(known);
    earlier_ = static_cast<Earlier>(known[0]);
  }

  /// The router's decisions, in the order that routing `trace` takes them in.
  void record(const Workload& workload) {
    on_root(comm_, [&] {
      if (!recorder_) return;
      if (!options_.in_sample) recorder_->append(workload.plan);
      recorder_->append(workload.measured);
      recorder_->commit();
    });
  }

  /// What a placement that changes had become is not known later.
  void require_static(const char* option) const {
    for (const std::string& text : options_.placements) {
      const LiveName name = live_name(text);
      if (!name.changes()) continue;
      throw usage_error(fmt::format(
          "{} cannot go on where {} has changed: start anew with --overwrite", option, text));
    }
  }

  /// Profile and placements: those of the unfinished file, or new ones; --config-from has
  /// placements, and the profile is this machine's.
  void plan(Session& session) {
    std::vector<std::string> earlier_cost;
    if (earlier_ == Earlier::unfinished) {
      on_root(comm_, [&] {
        require_same_request(reader_->info(), comm_.size(), to_json(options_),
                             digest(session.workload.measured));
        profile_ = reader_->info().profile;
        for (const char* name : {"cost", "cost_reason"}) {
          if (const auto& facts = reader_->info().facts; facts.contains(name)) {
            earlier_cost.push_back(facts.at(name));
          }
        }
        placements_ = reader_->info().placements;
        if (earlier_cost.size() < 2) earlier_cost.clear();
      });
      session.choose_cost(profile_, earlier_cost);
    } else {
      double begin = wall_seconds();
      PlanProfile found = obtain_profile(session);
      profile_ = std::move(found.profile);
      dents_ = say_dents(profile_, found.samples);
      session.choose_cost(profile_, {});
      seconds_["profile"] = wall_seconds() - begin;
      throw_if_stopped(comm_, "nothing was measured yet");
      begin = wall_seconds();
      placements_ = options_.config_from.empty() ? plan_all(session, profile_) : replayed(session);
      seconds_["plan"] = wall_seconds() - begin;
      throw_if_stopped(comm_, "nothing was measured yet");
    }
    share(session, placements_);
    live_ = plan_live(session, profile_);
    broadcast(comm_, profile_);
    token_rule_.emplace(
        token_rule(options_.token_split, CostModel(profile_, session.cost, session.linear.slots)));
  }

  /// Collective: the placements of the file that is replayed, on rank 0.
  std::vector<Placement> replayed(const Session& session) {
    std::vector<Placement> placements;
    on_root(comm_, [&] {
      require_static("--config-from");
      const RunReader file(options_.config_from);
      require_replayable(file.info(), options_.placements, comm_.size(),
                         digest(session.workload.measured));
      placements = file.info().placements;
    });
    return placements;
  }

  void begin_file(const Session& session) {
    RunInfo info = describe(session, profile_, placements_, schedule_);
    if (!dents_.empty()) info.facts["profile_dents"] = fmt::format("{}", fmt::join(dents_, "; "));
    on_root(comm_, [&] {
      if (!reader_) {
        writer_->describe(info);
        return;
      }
      require_same_machine(reader_->info(), info);
      writer_ = std::make_unique<RunWriter>(
          options_.output, *reader_,
          std::map<std::string, std::string>{{"resumed", "last at " + utc_now()}});
    });
  }

  void finish(RunEnd& end) {
    on_root(comm_, [&] {
      end.seconds.insert(seconds_.begin(), seconds_.end());
      end.seconds["total"] = wall_seconds() - begin_;
      writer_->finish(end);
      fmt::print("{}", report(options_.output, options_.format));
      std::fflush(stdout);
    });
    if (!end.check.passed) {
      throw AgreedError(ExitCode::failed, "the check failed: " + end.check.message);
    }
  }

  const Comm& comm_;
  const Options& options_;
  Progress& progress_;
  const double begin_ = wall_seconds();
  Earlier earlier_ = Earlier::nothing;
  std::unique_ptr<RunReader> reader_;      // rank 0's, of an unfinished file
  std::unique_ptr<RunWriter> writer_;      // rank 0's
  std::unique_ptr<TraceWriter> recorder_;  // rank 0's, with --record
  std::vector<Turn> schedule_;
  Profile profile_;
  std::vector<std::string> dents_;  // of the profile, rank 0's
  std::optional<TokenRule> token_rule_;
  std::vector<Placement> placements_;
  std::vector<LivePlacement> live_;
  std::map<std::string, double> seconds_;
};

/// "a.h5" -> "a-512.h5"
std::string with_tokens(const std::string& output, int tokens) {
  const std::filesystem::path path(output);
  std::filesystem::path name = path.stem();
  name += fmt::format("-{}", tokens);
  name += path.extension();
  return path.parent_path() / name;
}

}  // namespace

void run_command(const Comm& comm, const Options& options, Progress& progress) {
  if (options.dry_run && options.ranks) {
    on_root(comm, [&] { print(comm, dry_run_alone(comm, options)); });
    return;
  }
  if (options.token_sweep.size() < 2) {
    Run(comm, options, progress).go();
    return;
  }
  std::vector<std::string> files;
  for (const int tokens : options.token_sweep) {
    Options one = options;
    one.tokens = tokens;
    one.token_sweep = {tokens};
    if (!options.output.empty()) one.output = with_tokens(options.output, tokens);
    if (!options.record.empty()) one.record = with_tokens(options.record, tokens);
    Run(comm, one, progress).go();
    files.push_back(one.output);
  }
  if (!options.dry_run && options.format == "table") {
    print(comm, comm.rank() == 0 ? sweep_table(files) : "");
  }
}

}  // namespace gembench
