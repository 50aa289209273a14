#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "harness/cli/command_line.hpp"
#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/report/probe_report.hpp"
#include "harness/report/profile_report.hpp"
#include "harness/report/prometheus.hpp"
#include "harness/report/quiet_report.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/measured_file.hpp"
#include "harness/run/run_plan.hpp"
#include "harness/run/session.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/files/whole_file.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline commands {
namespace {

constexpr double kReport = 0.5;  // s to judge, print and write

void check_files(const ProbeCommand& options, int ranks, std::optional<OutputOwner>& owner) {
  if (ranks == 1 && options.history.empty()) {
    throw usage_error(
        "a single rank has no others to be compared with: add --history FOLDER with earlier "
        "probes, or start one rank for every GPU");
  }
  if (!options.prometheus.empty()) require_writable(options.prometheus);
  if (!options.history.empty()) require_folder(options.history);
  if (options.output.empty()) return;
  owner.emplace(options.output);
  if (!options.overwrite) require_new(options.output);
  require_writable(options.output);
}

/// (token, expert) pairs of a rank, as if all were loaded alike.
std::int64_t even_share(const Session& session) {
  const std::int64_t pairs = std::int64_t{tokens_per_step(session.options)} * session.model.topk;
  return std::max<std::int64_t>(1, pairs / session.comm.size());
}

}  // namespace

ExitCode execute(const Comm& comm, const ProbeCommand& given, Progress& progress) {
  const double begin = wall_seconds();
  ProbeCommand options = given;
  std::optional<OutputOwner> owner;  // rank 0's
  on_root(comm, [&] { check_files(options, comm.size(), owner); });
  require_same_start(comm, to_json(options));
  options.profile_seconds = options.probe_seconds;
  Session session(comm, options, progress);
  say_failed_products(session);
  say(session,
      fmt::format("measuring every rank's expert latency (up to {:g} s)", options.probe_seconds));
  const double prepared = wall_seconds();
  MeasuredFile measured = measure_file(session, false, [&] {
    // The states of devices and machine are read once more.
    const double now = wall_seconds(),
                 end = comm.max(now - begin) + comm.max(now - prepared) + kReport;
    options.profile_seconds = std::max(0.0, options.probe_seconds - end);
    return session.measure_load("nothing was judged", even_share(session));
  });
  auto code = static_cast<int>(ExitCode::ok);
  on_root(comm, [&] {
    const ProfileFile& file = measured.file;
    std::optional<ProfileHistory> history;
    if (!options.history.empty())
      history = read_history(options.history, file, "", Past::of_itself);
    if (owner) write_profile(std::move(*owner), file, options.overwrite);
    const ProbeVerdict verdict = judge_probe(file, history, options.slower_than);
    code = static_cast<int>(verdict.code());
    const std::vector<std::string> header =
        profile_header(file, {file.profile.clock, measured.before, measured.after, measured.during},
                       session.clock_reason, session.describe_model(), kQuietProbe);
    print_text(probe_report(file, verdict, header, options.format));
    // Else nothing on standard error says why the exit code is not 0.
    if (verdict.code() != ExitCode::ok && options.quiet) tell(findings(file, verdict).front());
    if (options.prometheus.empty()) return;
    write_whole_file(options.prometheus, prometheus_text(metrics_of(file, verdict)), true);
  });
  return static_cast<ExitCode>(static_cast<int>(comm.max(code)));  // rank 0's
}

}  // namespace gembench::inline commands
