#include "harness/resume.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "placement/error.hpp"

namespace gembench {
namespace {

void require_same(const std::string& what, const std::string& earlier, const std::string& mine) {
  if (earlier == mine) return;
  throw usage_error(fmt::format(
      "--resume needs the {} of the earlier run, which had {} and not {}: use the same, choose "
      "another --output, or start anew with --overwrite",
      what, earlier, mine));
}

std::string fact(const RunInfo& info, const char* name) {
  const auto found = info.facts.find(name);
  return found == info.facts.end() ? "none" : found->second;
}

std::string hosts(const RunInfo& info) {
  const auto found = info.rank_facts.find("host");
  std::string all;
  if (found == info.rank_facts.end()) return all;
  for (const std::string& host : found->second) all += (all.empty() ? "" : ",") + host;
  return all;
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
  require_same("number of ranks", fmt::format("{}", earlier.shape.ranks), fmt::format("{}", ranks));
  const auto before = nlohmann::ordered_json::parse(earlier.config, nullptr, false);
  const auto now = nlohmann::ordered_json::parse(config, nullptr, false);
  for (const auto& [name, value] : now.items()) {
    const bool known = before.is_object() && before.contains(name);
    require_same("--" + name, known ? before[name].dump() : "none", value.dump());
  }
}

void require_same_loads(const RunInfo& earlier, const std::string& trace_digest) {
  require_same("loads", fact(earlier, "trace_digest"), trace_digest);
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
  if (fact(earlier, "trace_digest") != trace_digest) {
    throw usage_error(
        "--config-from cannot make the loads of that run again: leave out options that change "
        "model, routing, steps or seed, and use its --trace file");
  }
}

void require_same_machine(const RunInfo& earlier, const RunInfo& mine) {
  require_same("program", fact(earlier, "program"), fact(mine, "program"));
  require_same("device", fact(earlier, "device"), fact(mine, "device"));
  require_same("clock", earlier.clock, mine.clock);
  require_same("nodes, whose speeds were profiled,", hosts(earlier), hosts(mine));
}

bool kept_resident(const RunInfo& earlier) {
  return fact(earlier, "alternation") == "resident";
}

FinishedTurns finished_turns(const Comm& comm, const RunReader* file) {
  FinishedTurns finished;
  if (file != nullptr) {
    finished.notes = file->notes();
    for (int turn = 0; turn < file->info().shape.turns; ++turn) {
      finished.done.push_back(file->measured(turn) ? 1 : 0);
      finished.step_time.push_back(finished.done.back() != 0 ? file->read_turn(turn).step_time
                                                             : std::vector<double>());
    }
  }
  comm.broadcast(finished.done);
  comm.broadcast(finished.notes);
  return finished;
}

}  // namespace gembench
