#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/report/launches_report.hpp"
#include "harness/report/prometheus.hpp"
#include "harness/report/regression.hpp"
#include "harness/report/regression_report.hpp"
#include "harness/report/report.hpp"
#include "harness/report/run_config.hpp"
#include "harness/report/verdict.hpp"
#include "placement/base/error.hpp"
#include "placement/files/whole_file.hpp"

namespace gembench::inline commands {
namespace {

Comparison compare_file(const RunReader& file, const std::string& path,
                        const std::string& against) {
  try {
    return compare(file, stated_non_moe_time(file.info()), against);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", path, error.what()));
  }
}

void write_summary_of(const std::string& path, const std::string& output) {
  const RunReader file(path);
  const RunInfo& info = file.info();
  write_summary(output, info.labels, static_cast<std::uint64_t>(info.shape.ranks),
                summary_of(reduce(file, stated_non_moe_time(info))));
}

/// Against an earlier run of the same command.
ExitCode compare_with_baseline(const CompareCommand& options) {
  const std::string& path = options.files.front();
  const RunReader old(options.baseline), now(path);
  const Regression regression =
      regression_of({options.baseline, old}, {path, now}, options.fail_above);
  print_text(regression_report(regression, options.format));
  if (!options.prometheus.empty()) {
    auto metrics = metrics_of(now, compare_file(now, path, ""));
    std::ranges::move(metrics_of(regression), std::back_inserter(metrics));
    write_whole_file(options.prometheus, prometheus_text(metrics), true);
  }
  return has_failed(regression) ? ExitCode::failed : ExitCode::ok;
}

/// The last lines: of every file that is in no pool, then of the pools.
void print_verdicts(const std::vector<std::string>& paths, const std::vector<std::string>& verdicts,
                    const Pooling& pooling) {
  print_text("#\n");
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const bool pooled = std::ranges::any_of(pooling.groups, [&](const PooledRuns& runs) {
      return std::ranges::find(runs.paths, paths[i]) != runs.paths.end();
    });
    if (!pooled) print_result("# {}: {}\n", paths[i], verdicts[i]);
  }
  for (const PooledRuns& runs : pooling.groups) print_result("# {}\n", pooled_verdict(runs));
}

}  // namespace

ExitCode execute(const CompareCommand& options) {
  if (options.files.empty()) throw usage_error("compare needs at least one results file");
  if (!options.summary.empty()) {
    if (options.files.size() > 1) throw usage_error("--summary takes one results file");
    write_summary_of(options.files.front(), options.summary);
    return ExitCode::ok;
  }
  if (!options.baseline.empty()) return compare_with_baseline(options);
  const bool several = options.files.size() > 1, table = options.format == "table";
  const bool one_header = several && options.format == "csv";
  std::vector<LaunchRun> launches;
  std::vector<std::string> verdicts;
  for (const std::string& path : options.files) {
    const RunReader file(path);
    const Comparison comparison = compare_file(file, path, options.against);
    if (!one_header) {
      print_text(run_report(file, comparison, path, {options.format, bold_printing()}));
    }
    if (!options.prometheus.empty()) {
      write_whole_file(options.prometheus, prometheus_text(metrics_of(file, comparison)), true);
    }
    launches.push_back(launch_of(path, file, comparison));
    verdicts.push_back(verdict_of(file, comparison).sentence);
  }
  const Pooling pooling = pool(launches);
  if (one_header) {
    print_text(launches_csv(launches, pooling.groups));
  } else {
    for (const PooledRuns& runs : pooling.groups) print_text(pooled_report(runs, options.format));
  }
  for (const std::string& sentence : pooling.not_pooled) {
    if (table) {
      print_result("#\n# {}\n", sentence);
    } else if (!options.quiet) {
      tell(sentence);
    }
  }
  if (several && table) print_verdicts(options.files, verdicts, pooling);
  return ExitCode::ok;
}

}  // namespace gembench::inline commands
