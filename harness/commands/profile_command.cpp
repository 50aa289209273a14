#include <fmt/format.h>

#include <optional>
#include <utility>

#include "harness/cli/command_line.hpp"
#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"
#include "harness/report/gpu_line.hpp"
#include "harness/report/profile_compare.hpp"
#include "harness/report/profile_report.hpp"
#include "harness/report/prometheus.hpp"
#include "harness/report/quiet_report.hpp"
#include "harness/run/collective_errors.hpp"
#include "harness/run/measured_file.hpp"
#include "harness/run/run_plan.hpp"
#include "harness/run/session.hpp"
#include "harness/run/soak.hpp"
#include "harness/run/trace_shape.hpp"
#include "placement/files/whole_file.hpp"
#include "results/profile_file.hpp"

namespace gembench::inline commands {
namespace {

/// What is wrong with the files shows before anything is measured, and the output is ours from now
/// on.
std::optional<ProfileFile> check_files(const ProfileCommand& options, int ranks,
                                       std::optional<OutputOwner>& owner) {
  if (options.output.empty() && options.compare.empty() && options.history.empty() &&
      options.prometheus.empty()) {
    throw usage_error("profile needs --output FILE");
  }
  if (!options.prometheus.empty()) require_writable(options.prometheus);
  if (!options.history.empty()) require_folder(options.history);
  if (!options.output.empty()) {
    owner.emplace(options.output);
    if (!options.overwrite) require_new(options.output);
  }
  if (!options.output.empty()) require_writable(options.output);
  if (options.compare.empty()) return {};
  ProfileFile old = read_profile_file(options.compare);
  if (old.profile.ranks != ranks) {
    throw usage_error(fmt::format("{} holds {} ranks but {} run: start as many", options.compare,
                                  old.profile.ranks, ranks));
  }
  return old;
}

/// Prints and writes what is known of the profile of `file` (empty: none was written).
void report_profile(const ProfileCommand& options, const ProfileFile& now, const std::string& file,
                    const std::optional<ProfileFile>& old, const std::vector<std::string>& header) {
  std::optional<ProfileComparison> comparison;
  std::optional<ProfileHistory> history;
  if (old) comparison = compare_profiles(options, *old, now);
  if (!options.history.empty()) history = read_history(options.history, now, file);
  print_text(profile_report(now, comparison, history, header, options.format));
  if (options.prometheus.empty()) return;
  write_whole_file(options.prometheus, prometheus_text(metrics_of(now, comparison, history)), true);
}

}  // namespace

void execute(const Comm& comm, const ProfileCommand& given, Progress& progress) {
  ProfileCommand options = given;
  if (const int steps = adopt_trace_shape(comm, options); steps > 0) {
    options.in_sample = true;  // nothing is split: all steps say how large loads are
    options.steps = steps;
  }
  std::optional<ProfileFile> old;
  std::optional<OutputOwner> owner;  // rank 0's
  on_root(comm, [&] { old = check_files(options, comm.size(), owner); });
  require_same_start(comm, to_json(options));
  Session session(comm, options, progress);
  say_failed_products(session);
  on_root(comm, [&] {
    if (!old) return;
    Profile now;
    now.ranks = comm.size();
    now.slots = session.linear.slots;
    now.model = session.shape_name();
    now.clock = name_of(session.clock);
    require_comparable(old->profile, now);
    if (!options.placement.empty()) static_cast<void>(read_replan_question(options, now));
  });
  constexpr const char* kNothing = "no profile was written";
  SoakRecord soaked = soak(session, session.linear, kNothing);
  say(session,
      fmt::format("measuring every rank's expert latency (up to {:g} s)", options.profile_seconds));
  MeasuredFile measured =
      measure_file(session, options.anonymous, [&] { return session.measure_profile(kNothing); });
  on_root(comm, [&] {
    ProfileFile& file = measured.file;
    file.soak = std::move(soaked);
    if (owner) write_profile(std::move(*owner), file, options.overwrite);
    std::vector<std::string> header =
        profile_header(file, {file.profile.clock, measured.before, measured.after, measured.during},
                       session.clock_reason, session.describe_model(), kQuietProfile);
    if (const std::string line = gpu_line(measured.gpu_during); !line.empty()) {
      header.push_back(line);
    }
    report_profile(options, file, options.output, old, header);
    if (options.format == "table" && !options.output.empty()) {
      print_result("# result: {}\n", options.output);
    }
  });
}

void execute(const ProfileCommand& options) {
  const ProfileFile now = read_profile_file(options.with);
  std::optional<ProfileFile> old;
  if (!options.compare.empty()) old = read_profile_file(options.compare);
  const auto date = [](const ProfileFile& file) {
    return file.measured.empty() ? "unknown date" : file.measured;
  };
  const std::vector<std::string> header = {
      fmt::format("{}  {}  clock {}", program_version(), now.profile.device, now.profile.clock),
      fmt::format(
          "{} of {}{}", options.with, date(now),
          old ? fmt::format(", against {} of {}", options.compare, date(*old)) : std::string())};
  report_profile(options, now, options.with, old, header);
}

}  // namespace gembench::inline commands
