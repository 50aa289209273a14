#include <fmt/format.h>

#include <vector>

#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/report/launches_report.hpp"
#include "harness/report/report.hpp"
#include "harness/report/run_config.hpp"
#include "placement/base/error.hpp"

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

}  // namespace

void execute(const CompareCommand& options) {
  if (options.files.empty()) throw usage_error("compare needs at least one results file");
  if (!options.summary.empty()) {
    if (options.files.size() > 1) throw usage_error("--summary takes one results file");
    write_summary_of(options.files.front(), options.summary);
    return;
  }
  std::vector<LaunchRun> launches;
  for (const std::string& path : options.files) {
    const RunReader file(path);
    const Comparison comparison = compare_file(file, path, options.against);
    print_text(run_report(file, comparison, path, options.format));
    launches.push_back(launch_of(path, file, comparison));
  }
  const Pooling pooling = pool(launches);
  for (const PooledRuns& runs : pooling.groups) print_text(pooled_report(runs, options.format));
  for (const std::string& sentence : pooling.not_pooled) {
    if (options.format == "table") {
      print_result("#\n# {}\n", sentence);
    } else if (!options.quiet) {
      tell(sentence);
    }
  }
}

}  // namespace gembench::inline commands
