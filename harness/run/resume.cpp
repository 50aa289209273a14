#include "harness/run/resume.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "harness/run/same_run.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline run {
namespace {

void require_same(const std::optional<RunDifference>& other) {
  if (!other) return;
  throw usage_error(fmt::format(
      "--resume needs the {} of the earlier run, which had {} and not {}: use the same, choose "
      "another --output, or start over with --overwrite",
      other->what, other->earlier, other->mine));
}

}  // namespace

FoundRun find_earlier(const std::string& output) {
  namespace fs = std::filesystem;
  const std::string partial = output + ".partial";
  const bool there = fs::exists(output), half = fs::exists(partial);
  if (!there && !half) return {};
  const RunProgress whole = there ? progress_of_run(output) : RunProgress{};
  if (whole.completed && !(half && fs::last_write_time(partial) > fs::last_write_time(output))) {
    return {Earlier::complete, output, false, ""};
  }
  if (half && progress_of_run(partial).laid_out) {
    return {Earlier::unfinished, partial, there,
            whole.completed
                ? fmt::format("{} is newer than {}: it is continued, and then replaces it", partial,
                              output)
                : ""};
  }
  if (whole.completed) return {Earlier::complete, output, false, ""};
  if (!whole.laid_out) return {Earlier::nothing, "", there, ""};
  return {Earlier::unfinished, output, true,
          fmt::format("{} is not complete: it is continued", output)};
}

void require_same_command(const RunInfo& earlier, int ranks, const std::string& config) {
  require_same(other_command(earlier, ranks, config));
}

void require_same_anonymity(const RunInfo& earlier, bool anonymous) {
  const bool before = earlier.rank_facts.contains("anonymous");
  if (before == anonymous) return;
  require_same(
      RunDifference{"--anonymous", fmt::format("{}", before), fmt::format("{}", anonymous)});
}

void require_same_loads(const RunInfo& earlier, const std::string& trace_digest) {
  require_same(other_loads(earlier, trace_digest));
}

void require_replayable(const RunInfo& earlier, const std::vector<std::string>& strategies,
                        int ranks, const std::string& trace_digest) {
  const auto differs = [](const Placement& placement, const std::string& strategy) {
    return placement.strategy != strategy;
  };
  if (earlier.placements.size() != strategies.size() ||
      !std::equal(earlier.placements.begin(), earlier.placements.end(), strategies.begin(),
                  std::not_fn(differs))) {
    throw usage_error("--config-from runs the placements of its file: leave out --placements");
  }
  if (earlier.shape.ranks != ranks) {
    throw usage_error(
        fmt::format("--config-from replays a run of {} ranks and here are {}: start "
                    "as many",
                    earlier.shape.ranks, ranks));
  }
  if (fact_of(earlier, "trace_digest") != trace_digest) {
    throw usage_error(
        "--config-from cannot make the loads of that run again: leave out options that change "
        "model, routing, steps or seed, and use its --trace file");
  }
}

void require_same_machine(const RunInfo& earlier, const RunInfo& mine) {
  require_same(other_machine(earlier, mine));
  auto nodes = other_nodes(earlier, mine);
  if (nodes) nodes->what = "nodes, whose speeds were profiled,";
  require_same(nodes);
}

std::string describe_resumption(const RunInfo& earlier, const RunInfo& mine,
                                const std::string& now) {
  std::string text = "last at " + now;
  const std::string others = " with other expert products";
  const std::string before = fact_of(earlier, "resumed");
  if (const auto other = other_products(earlier, mine)) {
    text += fmt::format("{} ({} before, now {})", others, other->earlier, other->mine);
  } else if (const auto at = before.find(others); at != std::string::npos) {
    text += before.substr(at);  // said of an earlier resumption
  }
  return text;
}

bool kept_resident(const RunInfo& earlier) {
  return fact_of(earlier, "alternation") == "resident";
}

FinishedSegments finished_segments(const Comm& comm, const RunReader* file) {
  FinishedSegments finished;
  if (file != nullptr) {
    finished.notes = file->notes();
    for (int segment = 0; segment < file->info().shape.segments; ++segment) {
      finished.done.push_back(file->measured(segment) ? 1 : 0);
      finished.step_time.push_back(finished.done.back() != 0 ? file->read_segment(segment).step_time
                                                             : std::vector<double>());
    }
  }
  comm.broadcast(finished.done);
  comm.broadcast(finished.notes);
  return finished;
}

}  // namespace gembench::inline run
