#include "harness/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "harness/option_groups.hpp"
#include "harness/version.hpp"
#include "placement/error.hpp"

namespace po = boost::program_options;

namespace gembench {
namespace {

struct Command {
  const char* name;
  const char* usage;
  const char* summary;
};
constexpr Command kCommands[] = {
    {"run", "run [options]", "measure placements side by side on real MoE layers (mpirun, srun)"},
    {"profile", "profile [options] -o profile.h5",
     "measure every rank's expert latency against load (mpirun, srun)"},
    {"trace", "trace make|import csv|import ids|info [FILE] [options] -o trace.h5",
     "make or import expert loads"},
    {"plan", "plan --trace FILE [options] -o placement.json", "make a placement, without MPI"},
    {"score", "score --trace FILE [options] [placement.json ..]", "judge placements, without MPI"},
    {"compare", "compare FILE.. [options]", "print the comparison stored in results.h5"},
    {"list", "list", "models, strategies and synthetic loads there are"},
};

std::string general_help() {
  std::string text =
      "gembench: how much time MoE layers lose at their barriers, and what a better "
      "expert placement gives back\n\nUsage: gembench COMMAND [options]\n\n";
  for (const Command& command : kCommands) {
    text += fmt::format("  {:<9} {}\n", command.name, command.summary);
  }
  return text +
         "\n'gembench COMMAND --help' lists a command's options; 'gembench --version' the versions."
         "\nExit codes: 0 ok, 1 failed, 2 usage, 3 environment, 4 output, 5 timeout.\n"
         "Example: jobs/local.sh -n 4 run --model gpt-oss-20b --scale 4 --layers 8 -o results.h5\n";
}

const Command& find_command(const std::string& name) {
  for (const Command& command : kCommands) {
    if (name == command.name) return command;
  }
  throw usage_error(fmt::format("unknown command '{}': see gembench --help", name));
}

void check_choice(const char* name, const std::string& value,
                  std::initializer_list<const char*> known) {
  if (std::find(known.begin(), known.end(), value) != known.end()) return;
  throw usage_error(
      fmt::format("--{} '{}' is unknown: choose one of {}", name, value, fmt::join(known, ", ")));
}

void check_range(const char* name, double value, double least, double most) {
  if (std::isfinite(value) && value >= least && value <= most) return;
  throw usage_error(
      fmt::format("--{} {:g} must lie between {:g} and {:g}", name, value, least, most));
}

void validate(const Options& o) {
  check_choice("routing", o.routing, {"synthetic", "trace", "gate"});
  check_choice("preset", o.preset, {"serving", "even"});
  check_choice("variability", o.variability, {"none", "low", "high"});
  check_choice("device", o.device, {"cpu"});
  check_choice("clock", o.clock, {"auto", "wall", "cpu-time"});
  check_choice("check", o.check, {"none", "last", "all"});
  check_choice("dtype", o.dtype, {"auto", "f32", "bf16"});
  check_choice("format", o.format, {"table", "csv", "json"});
  check_range("steps", o.steps, 1, 1e7);
  check_range("warmup", o.warmup, 0, 1e6);
  check_range("block", o.block, 1, 1e6);
  check_range("non-moe-time", o.non_moe_time, 0, 1e3);
  check_range("profile-seconds", o.profile_seconds, 0, 3600);
  if (o.tokens) check_range("tokens", *o.tokens, 1, 1 << 24);
  if (o.plan_steps) check_range("plan-steps", *o.plan_steps, 1, 1e6);
  if (o.weight_layers) check_range("weight-layers", *o.weight_layers, 1, 65536);
  if (o.ranks) check_range("ranks", *o.ranks, 1, 65536);
  if (!o.slowdown.empty() && o.variability != "none") {
    throw usage_error("--slowdown and --variability exclude each other: drop one");
  }
  if (o.placements.empty()) throw usage_error("--placements names no strategy: see gembench list");
  if (o.command == "run" && o.output.empty()) {
    throw usage_error("run needs --output FILE for its results");
  }
  if (o.routing == "trace" && o.trace.empty()) {
    throw usage_error("--routing trace needs --trace FILE");
  }
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  Parsed parsed;
  Options& o = parsed.options;
  const std::vector<std::string> words(argv + 1, argv + argc);
  o.command_line = fmt::format("gembench {}", fmt::join(words, " "));
  if (words.empty()) throw usage_error("no command given: see gembench --help");
  if (words[0] == "--help" || words[0] == "-h") {
    parsed.help = general_help();
    return parsed;
  }
  if (words[0] == "--version") {
    parsed.help = version_text();
    return parsed;
  }
  if (words[0] == "--list") {
    o.command = "list";
    return parsed;
  }
  const Command& command = find_command(words[0]);
  o.command = command.name;
  if (o.command == "trace") o.steps = 1024;

  const po::options_description visible = options_of(o.command, o);
  po::options_description all;
  all.add(visible).add_options()("file", po::value(&o.files));
  po::positional_options_description positional;
  if (o.command != "run" && o.command != "profile" && o.command != "list") {
    positional.add("file", -1);
  }
  try {
    using style = po::command_line_style::style_t;
    po::variables_map values;
    po::store(po::command_line_parser(std::vector<std::string>(words.begin() + 1, words.end()))
                  .options(all)
                  .positional(positional)
                  .style(style::unix_style & ~style::allow_guessing)
                  .run(),
              values);
    if (values.count("help") != 0) {
      std::ostringstream text;
      text << "Usage: gembench " << command.usage << '\n' << command.summary << '\n' << visible;
      parsed.help = text.str();
      return parsed;
    }
    po::notify(values);
  } catch (const po::error& error) {
    throw usage_error(fmt::format("{}: see gembench {} --help", error.what(), o.command));
  }
  if (!o.trace.empty() && o.routing == "synthetic") o.routing = "trace";
  validate(o);
  return parsed;
}

std::string to_json(const Options& o) {
  using nlohmann::ordered_json;
  const auto maybe = [](const std::optional<int>& value) {
    return value ? ordered_json(*value) : ordered_json(nullptr);
  };
  return ordered_json{
      {"command", o.command},
      {"model", o.model},
      {"scale", o.scale},
      {"layers", maybe(o.layers)},
      {"experts", maybe(o.experts)},
      {"topk", maybe(o.topk)},
      {"hidden", maybe(o.hidden)},
      {"ffn", maybe(o.ffn)},
      {"weight-layers", maybe(o.weight_layers)},
      {"dtype", o.dtype},
      {"tokens", maybe(o.tokens)},
      {"routing", o.routing},
      {"preset", o.preset},
      {"trace", o.trace},
      {"placements", o.placements},
      {"profile", o.profile},
      {"plan-steps", maybe(o.plan_steps)},
      {"in-sample", o.in_sample},
      {"steps", o.steps},
      {"warmup", o.warmup},
      {"block", o.block},
      {"resident", o.resident},
      {"slowdown", o.slowdown},
      {"variability", o.variability},
      {"device", o.device},
      {"clock", o.clock},
      {"check", o.check},
      {"non-moe-time", o.non_moe_time},
      {"profile-seconds", o.profile_seconds},
      {"seed", o.seed},
  }
      .dump();
}

}  // namespace gembench
