#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "harness/cli/command_line.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/printing.hpp"
#include "harness/cli/run_length.hpp"
#include "harness/commands/commands.hpp"
#include "harness/commands/dry_run.hpp"
#include "harness/report/report.hpp"
#include "harness/report/report_table.hpp"
#include "harness/report/run_config.hpp"
#include "harness/report/verdict.hpp"
#include "harness/run/anonymous.hpp"
#include "harness/run/broadcast.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/continue_command.hpp"
#include "harness/run/devices.hpp"
#include "harness/run/layout.hpp"
#include "harness/run/measure.hpp"
#include "harness/run/placement_files.hpp"
#include "harness/run/quiet.hpp"
#include "harness/run/resume.hpp"
#include "harness/run/run_facts.hpp"
#include "harness/run/run_plan.hpp"
#include "harness/run/same_run.hpp"
#include "harness/run/soak.hpp"
#include "harness/run/stop.hpp"
#include "harness/run/trace_shape.hpp"
#include "placement/base/index.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/speeds/profile_dents.hpp"
#include "placement/strategies/strategy.hpp"
#include "results/hdf5/output_file.hpp"
#include "results/run_writer.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

void print(const Comm& comm, const std::string& text) {
  if (comm.rank() != 0) return;
  print_text(text);
  show_printed();
}

/// Collective: the expert phase once more after the last step, at the loads of the first profile;
/// [rank][load_point] on rank 0. Loads of a profile from elsewhere may be more than this run can
/// hold.
std::vector<double> profile_again(Session& session, const Profile& before) {
  say(session, "measuring the profile again");
  const bool own = session.options.profile.empty();
  const Profile now =
      session.measure_profile("", own ? before.load_points : std::vector<std::int64_t>{}).profile;
  std::vector<double> latency;
  if (session.comm.rank() != 0) return latency;
  const CostModel cost(now);
  for (int rank = 0; rank < before.ranks; ++rank) {
    for (const auto load : before.load_points) {
      latency.push_back(cost.seconds(rank, load) - now.overhead[sz(rank)]);
    }
  }
  return latency;
}

/// The run of one --tokens: everything from an empty or unfinished file to the printed table.
class Run {
 public:
  /// `owner` of the output, on rank 0, where there is one. `part` of a sweep, for CSV.
  Run(const Comm& comm, const RunCommand& options, Progress& progress,
      std::optional<OutputOwner> owner, CsvPart part)
      : comm_(comm),
        options_(options),
        progress_(progress),
        owner_(std::move(owner)),
        part_(std::move(part)) {}

  /// On rank 0: what it has found, in a sentence.
  [[nodiscard]] const std::string& verdict() const { return verdict_; }

  void go() {
    if (options_.anonymous && !options_.dry_run) identity_ = identity_of(comm_);
    open_file();
    if (earlier_ == Earlier::complete) {
      std::string text;
      on_root(comm_, [&] { text = finished_before(); });
      print(comm_, text);
      return;
    }
    if (earlier_ == Earlier::nothing && options_.config_from.empty()) {
      on_root(comm_, [&] { require_readable(options_, comm_); });
    }
    require_same_start(comm_, to_json(options_));
    Session session(comm_, options_, progress_, placed_slots_, earlier_resident_,
                    earlier_products_);
    say_failed_products(session);
    check_files(session);
    record(session.workload);
    say(session, fmt::format("{} on {} ranks, clock {} ({})", session.describe_model(),
                             comm_.size(), name_of(session.clock), session.clock_reason));
    if (options_.without_launcher && comm_.size() == 1 && !options_.dry_run) {
      say(session,
          "1 rank, on which all placements are the same: to compare them start several, with "
          "jobs/local.sh -n 4 run ... or mpirun -n 4 gembench run ... (mpirun -n 1 asks for one)");
    }
    schedule_ = make_schedule(options_.steps, session.alternation.block,
                              static_cast<int>(options_.placements.size()), options_.seed);
    plan(session);
    if (options_.dry_run) {
      print(comm_, dry_run(session, options_, profile_, planned_, schedule_, part_));
      return;
    }
    begin_file(session);
    const QuietMeter meter(session);
    const double begin = wall_seconds();
    RunEnd end = measure_segments(session);
    seconds_["measure"] = wall_seconds() - begin;
    if (end.soak.steps >= 0) seconds_["soak"] = end.soak.seconds;
    end.soak_profile = soak_profile_;
    meter.finish(end.quiet_during);
    end.quiet_after = read_quiet(session);
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
        require_known_name(parse_placement_name(name).strategy);
      }
      if (options_.dry_run) {
        placed_slots_ = slots_placed_already();
        return;
      }
      if (options_.resume) found_ = find_earlier(options_.output);
      if (!found_.remark.empty() && !options_.quiet) tell(found_.remark);
      if (found_.state != Earlier::nothing) {
        reader_ = std::make_unique<RunReader>(found_.path);
        require_same_anonymity(reader_->info(), options_.anonymous);
        require_same_command(reader_->info(), comm_.size(), stored_options());
      }
      if (found_.state == Earlier::complete) {
        // The router's choices follow from the options; other loads may come from files.
        if (options_.routing != "router") {
          const Workload loads = make_workload(options_, model_of(options_), comm_.size());
          require_same_loads(reader_->info(), digest(loads.measured));
        }
      } else if (found_.state == Earlier::unfinished) {
        require_static("--resume");
      } else {
        writer_ =
            std::make_unique<RunWriter>(std::move(*owner_), options_.overwrite || options_.resume);
      }
      if (!options_.record.empty() && found_.state != Earlier::complete) {
        recorder_ =
            std::make_unique<TraceWriter>(options_.record, options_.overwrite || options_.resume);
      }
      earlier = static_cast<int>(found_.state);
      placed_slots_ = slots_placed_already();
    });
    std::vector<int> known{earlier, placed_slots_, reader_ && kept_resident(reader_->info())};
    comm_.broadcast(known);
    earlier_ = static_cast<Earlier>(known[0]);
    placed_slots_ = known[1];
    if (earlier_ != Earlier::unfinished) return;
    earlier_resident_ = known[2] != 0;
    if (reader_) earlier_products_ = products_of(reader_->info());
    comm_.broadcast(earlier_products_);
  }

  /// As a file of this run has them.
  [[nodiscard]] std::string stored_options() const {
    return identity_ ? anonymous(to_json(options_), *identity_) : to_json(options_);
  }

  /// Slots of a rank in the placements that are not planned now, on rank 0.
  int slots_placed_already() const {
    if (found_.state == Earlier::complete) return 0;
    if (found_.state == Earlier::unfinished) return reader_->info().shape.slots;
    if (!options_.config_from.empty()) return RunReader(options_.config_from).info().shape.slots;
    return placed_slots(options_, comm_.size());
  }

  /// What placements' files hold, and whether they were planned on what is measured. One that goes
  /// on or is replayed keeps the placements that it has.
  void check_files(Session& session) {
    on_root(comm_, [&] {
      if (earlier_ == Earlier::unfinished || !options_.config_from.empty()) return;
      session.workload.files = check_placement_files(
          options_.placements, session.workload, comm_.size(), session.slots, options_.in_sample);
    });
  }

  /// The results of an earlier run, and that they are.
  [[nodiscard]] std::string finished_before() {
    const std::string sentence =
        fmt::format("{} was finished before, nothing was run", options_.output);
    const RunReader file(options_.output);
    const std::string text = report(file, compare(file, stated_non_moe_time(file.info())));
    if (options_.format == "table") return fmt::format("# {}\n{}", sentence, text);
    if (!options_.quiet) tell(sentence);
    return text;
  }

  /// What is printed in the end.
  [[nodiscard]] std::string report(const RunReader& file, const Comparison& comparison) {
    verdict_ = verdict_of(file, comparison).sentence;
    return run_report(file, comparison, options_.output, {options_.format, bold_printing(), part_});
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
      const PlacementName name = parse_placement_name(text);
      if (!name.is_dynamic()) continue;
      throw usage_error(fmt::format(
          "{} cannot go on where {} has changed: start over with --overwrite", option, text));
    }
  }

  /// Profile and placements: those of the unfinished file, or new ones; --config-from has
  /// placements, and the profile is this machine's.
  void plan(Session& session) {
    std::vector<std::string> earlier_cost;
    if (earlier_ == Earlier::unfinished) {
      on_root(comm_, [&] {
        require_same_loads(reader_->info(), digest(session.workload.measured));
        profile_ = reader_->info().profile;
        for (const char* name : {"cost", "cost_reason"}) {
          if (const auto& facts = reader_->info().facts; facts.contains(name)) {
            earlier_cost.push_back(facts.at(name));
          }
        }
        planned_.placements = reader_->info().placements;
        if (earlier_cost.size() < 2) earlier_cost.clear();
      });
      session.choose_cost(profile_, earlier_cost);
    } else {
      // What may be wrong with them shows before anything is measured.
      if (options_.config_from.empty()) {
        on_root(comm_, [&] { require_plannable(session); });
      } else {
        planned_.placements = replayed(session);
      }
      if (options_.profile.empty() && !comm_.is_simulated()) {
        soak_profile_ = soak(session, session.linear, "nothing was measured yet");
      }
      double begin = wall_seconds();
      PlanProfile found = obtain_profile(session);
      profile_ = std::move(found.profile);
      dents_ = say_dents(profile_, found.samples);
      session.choose_cost(profile_, {});
      seconds_["profile"] = wall_seconds() - begin;
      throw_if_stopped(comm_, "nothing was measured yet");
      begin = wall_seconds();
      if (options_.config_from.empty()) planned_ = plan_all(session, profile_);
      seconds_["plan"] = wall_seconds() - begin;
      throw_if_stopped(comm_, "nothing was measured yet");
    }
    broadcast(comm_, planned_.placements);
    adaptive_ = plan_adaptive(session, profile_);
    broadcast(comm_, profile_);
    token_rule_.emplace(
        token_rule(options_.token_split, CostModel(profile_, session.cost, session.linear.slots)));
  }

  /// Collective: the placements of the file that is replayed, on rank 0.
  std::vector<Placement> replayed(Session& session) {
    std::vector<Placement> placements;
    on_root(comm_, [&] {
      require_static("--config-from");
      const RunReader file(options_.config_from);
      require_replayable(file.info(), options_.placements, comm_.size(),
                         digest(session.workload.measured));
      placements = file.info().placements;
      const auto& facts = file.info().facts;
      if (const auto files = facts.find("placement_files"); files != facts.end()) {
        session.workload.files = files->second;
      }
    });
    return placements;
  }

  void begin_file(const Session& session) {
    RunInfo info = describe(session, options_, profile_, planned_.placements, schedule_, identity_);
    if (!dents_.empty()) info.facts["profile_dents"] = fmt::format("{}", fmt::join(dents_, "; "));
    on_root(comm_, [&] {
      if (!reader_) {
        writer_->describe(info);
        return;
      }
      require_same_machine(reader_->info(), info);
      writer_ = std::make_unique<RunWriter>(
          std::move(*owner_), *reader_,
          std::map<std::string, std::string>{
              {"resumed", describe_resumption(reader_->info(), info, utc_now())}},
          found_.replaces);
    });
  }

  /// A run that is ended early leaves the summary of what it measured.
  RunEnd measure_segments(Session& session) {
    try {
      return measure(
          session, {planned_.placements, token_rule_->spec(), adaptive_, &profile_}, schedule_,
          finished_segments(comm_, reader_.get()),
          {[&](const SegmentRecord& block) { writer_->write(block); },
           [&](int segment, const SegmentNotes& notes) { writer_->write_check(segment, notes); },
           fmt::format("{}.partial; continue with: {}", options_.output,
                       continue_command(options_, comm_.size())),
           [&](const SoakRecord& soak) { writer_->write_soaks(soak, soak_profile_); }});
    } catch (const AgreedError&) {
      try {
        if (writer_) {
          writer_->summarise([](const RunReader& written) { return summary_of(reduced(written)); });
        }
      } catch (const std::exception&) {  // what ended the run is what has to be told
      }
      throw;
    }
  }

  static ReducedRun reduced(const RunReader& file) {
    return reduce(file, stated_non_moe_time(file.info()));
  }

  void finish(RunEnd& end) {
    std::string text;
    on_root(comm_, [&] {
      end.seconds.insert(seconds_.begin(), seconds_.end());
      end.seconds["total"] = wall_seconds() - begin_;
      if (identity_) anonymise(end, *identity_);
      ReducedRun run;
      writer_->finish(end, [&](const RunReader& written) {
        run = reduced(written);
        return summary_of(run);
      });
      text = report(RunReader(options_.output), compare(run));
    });
    print(comm_, text);
    if (!end.check.passed) {
      throw AgreedError(ExitCode::failed, "the check failed: " + end.check.message);
    }
  }

  const Comm& comm_;
  const RunCommand& options_;
  Progress& progress_;
  const double begin_ = wall_seconds();
  Earlier earlier_ = Earlier::nothing;
  int placed_slots_ = 0;
  std::optional<bool> earlier_resident_;  // of the unfinished run
  std::string earlier_products_;          // likewise
  std::optional<OutputOwner> owner_;      // rank 0's, until a writer takes it
  CsvPart part_;
  std::optional<Identity> identity_;       // with --anonymous; the hosts are rank 0's
  std::string verdict_;                    // rank 0's
  FoundRun found_;                         // rank 0's
  std::unique_ptr<RunReader> reader_;      // rank 0's, of an earlier run's file
  std::unique_ptr<RunWriter> writer_;      // rank 0's
  std::unique_ptr<TraceWriter> recorder_;  // rank 0's, with --record
  std::vector<Segment> schedule_;
  Profile profile_;
  SoakRecord soak_profile_;         // before it was measured
  std::vector<std::string> dents_;  // of the profile, rank 0's
  std::optional<TokenRule> token_rule_;
  PlannedPlacements planned_;
  std::vector<AdaptivePlacement> adaptive_;
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

/// A sweep's lines name their file, or in a dry run, which may have none, their tokens.
CsvPart csv_part(const RunCommand& run, bool first) {
  if (run.dry_run) return {"tokens", fmt::format("{}", *run.tokens), first};
  return {"file", run.output, first};
}

/// Rank 0's: all outputs, claimed before the first is worked on. None for a dry run.
std::vector<OutputOwner> claim(const Comm& comm, const RunCommand& options,
                               const std::vector<std::string>& outputs) {
  std::vector<OutputOwner> owners;
  on_root(comm, [&] {
    if (options.dry_run) return;
    for (const std::string& output : outputs) {
      owners.emplace_back(output);
      if (options.resume) continue;
      require_free(output,
                   options.overwrite ? OutputFile::Existing::replace : OutputFile::Existing::refuse,
                   OutputFile::Partial::keep);
    }
  });
  return owners;
}

}  // namespace

void execute(const Comm& started, const RunCommand& given, Progress& progress) {
  RunCommand options = given;
  if (options.ranks && started.size() > 1) {
    throw AgreedError(
        ExitCode::usage,
        fmt::format("--ranks stands for ranks that are not there and {} are: drop it, "
                    "or start one",
                    started.size()));
  }
  const Comm comm = options.ranks ? Comm::simulated(*options.ranks) : started;
  const int trace_steps = adopt_trace_shape(comm, options);
  fit_length(options, comm.size(), trace_steps);
  std::vector<RunCommand> runs;
  std::vector<std::string> files;
  for (const int tokens : options.token_sweep) {
    RunCommand one = options;
    one.tokens = tokens;
    one.token_sweep = {tokens};
    if (!options.output.empty()) one.output = with_tokens(options.output, tokens);
    if (!options.record.empty()) one.record = with_tokens(options.record, tokens);
    runs.push_back(one);
  }
  const bool sweep = runs.size() > 1;
  if (!sweep) runs = {options};
  for (const RunCommand& run : runs) files.push_back(run.output);
  std::vector<OutputOwner> owners = claim(comm, options, files);
  std::vector<std::string> verdicts;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::optional<OutputOwner> owner;
    if (!owners.empty()) owner.emplace(std::move(owners[i]));
    CsvPart part;
    if (sweep) part = csv_part(runs[i], i == 0);
    Run run(comm, runs[i], progress, std::move(owner), part);
    run.go();
    verdicts.push_back(run.verdict());
  }
  if (!sweep) return;
  if (!options.dry_run && options.format == "table") {
    print(comm, comm.rank() == 0 ? sweep_table(files, verdicts) : "");
  }
}

}  // namespace gembench::inline commands
