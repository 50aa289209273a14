#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "harness/cli/printing.hpp"
#include "harness/commands/commands.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/files/input_file.hpp"
#include "results/file_kind.hpp"
#include "results/profile_file.hpp"
#include "results/run_reader.hpp"
#include "results/run_summary.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline commands {
namespace {

using nlohmann::ordered_json;

/// What a file is and says, and which commands read it.
struct FileFacts {
  const char* kind;
  std::vector<std::pair<std::string, ordered_json>> facts;
  std::vector<std::string> read_by;
};

FileFacts results_facts(const std::string& path) {
  const RunReader file(path);
  const RunInfo& info = file.info();
  int measured = 0;
  for (int segment = 0; segment < info.shape.segments; ++segment) {
    measured += file.measured(segment) ? 1 : 0;
  }
  FileFacts facts{"results", {}, {"compare", "run --config-from", "jobs/report.sh"}};
  for (const char* name : {"model", "routing", "device", "started", "program"}) {
    if (info.facts.contains(name)) facts.facts.emplace_back(name, info.facts.at(name));
  }
  facts.facts.emplace_back("ranks", info.shape.ranks);
  facts.facts.emplace_back("clock", info.clock);
  facts.facts.emplace_back("placements", info.labels);
  facts.facts.emplace_back("steps", info.shape.steps);
  facts.facts.emplace_back("segments", info.shape.segments);
  facts.facts.emplace_back("segments_measured", measured);
  facts.facts.emplace_back("completed", file.completed());
  facts.facts.emplace_back("command", info.command_line);
  return facts;
}

FileFacts profile_facts(const std::string& path) {
  const ProfileFile file = read_profile_file(path);
  const Profile& profile = file.profile;
  // At the largest load: where a straggler shows.
  std::vector<double> latency;
  for (int rank = 0; rank < profile.ranks; ++rank) {
    latency.push_back(profile.at(rank, profile.load_points.size() - 1));
  }
  const auto [fastest, slowest] = std::ranges::minmax_element(latency);
  return {
      "profile",
      {{"model", profile.model},
       {"device", profile.device},
       {"measured", file.measured},
       {"ranks", profile.ranks},
       {"clock", profile.clock},
       {"load_points", profile.load_points.size()},
       {"largest_load", profile.load_points.back()},
       {"routed_loads", profile.routed.points},
       {"slowest_rank", slowest - latency.begin()},
       {"slowest_to_fastest", *fastest > 0 ? ordered_json(*slowest / *fastest) : ordered_json()}},
      {"plan --profile", "score --profile", "run --profile", "profile --compare"}};
}

FileFacts trace_facts(const std::string& path) {
  const Trace trace = read_trace(path);
  return {"trace",
          {{"source", trace.source},
           {"steps", trace.steps},
           {"layers", trace.layers},
           {"experts", trace.experts},
           {"topk", trace.topk},
           {"tokens_a_step", tokens_of_steps(trace)},
           {"ids", trace.has_ids()}},
          {"trace info", "plan --trace", "score --trace", "run --trace"}};
}

/// placement.json, or an engine's file. Some of these leave out what `convert` is told instead.
FileFacts placement_facts(const std::string& path) {
  const PlacementFormat& format = recognise_placement(read_input_file(path, kMaxPlacementBytes));
  FileFacts facts{"placement",
                  {{"format", format.name}, {"of", format.what}},
                  {"score", "run --placements file:", "convert"}};
  try {
    const PlacementFile file = read_any_placement(path, {});
    const Placement& placement = file.placement;
    facts.facts.emplace_back("strategy", placement.strategy);
    facts.facts.emplace_back("model", file.model);
    facts.facts.emplace_back("layers", placement.layers);
    facts.facts.emplace_back("ranks", placement.ranks);
    facts.facts.emplace_back("slots", placement.slots);
    facts.facts.emplace_back("experts", placement.experts);
  } catch (const Error& error) {
    facts.facts.emplace_back("unread", error.what());
  }
  return facts;
}

FileFacts facts_of_file(const std::string& path) {
  const std::string schema = schema_of(path);
  if (schema == kRunSchema) return results_facts(path);
  if (schema == kProfileSchema) return profile_facts(path);
  if (schema == kTraceSchema) return trace_facts(path);
  if (schema == kSummarySchema) return {"summary", {}, {"jobs/report.sh"}};
  if (!schema.empty()) {
    throw usage_error(
        fmt::format("{} says that it is '{}', which this gembench does not know", path, schema));
  }
  try {
    return placement_facts(path);
  } catch (const Error&) {
    throw usage_error(fmt::format(
        "{} is no results, profile, trace or placement file: recordings of engines become one with "
        "gembench trace import",
        path));
  }
}

}  // namespace

void execute(const InfoCommand& command) {
  if (command.files.empty()) throw usage_error("info needs at least one file");
  ordered_json all = ordered_json::array();
  std::string text;
  for (const std::string& path : command.files) {
    const FileFacts file = facts_of_file(path);
    ordered_json one{{"file", path}, {"kind", file.kind}};
    text += fmt::format("{}{}: {}\n", text.empty() ? "" : "\n", path, file.kind);
    for (const auto& [name, value] : file.facts) {
      one[name] = value;
      if (value.is_null() || value == "") continue;
      text += fmt::format("  {:<18} {}\n", name,
                          value.is_string() ? value.get<std::string>() : value.dump());
    }
    one["read_by"] = file.read_by;
    text += fmt::format("  {:<18} {}\n", "read by", fmt::join(file.read_by, ", "));
    all.push_back(one);
  }
  print_text(command.format == "json" ? all.dump(2) + "\n" : text);
}

}  // namespace gembench::inline commands
