#include "harness/cli/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "harness/cli/option_groups.hpp"
#include "harness/cli/option_rules.hpp"
#include "harness/cli/placement_names.hpp"
#include "harness/cli/run_length.hpp"
#include "harness/cli/version.hpp"
#include "placement/base/error.hpp"
#include "placement/base/input_file.hpp"
#include "results/run_reader.hpp"

namespace po = boost::program_options;

namespace gembench::inline cli {
namespace {

struct Command {
  const char* name;
  const char* usage;
  const char* summary;
};
constexpr Command kCommands[] = {
    {"run", "run [options]", "measure placements side by side on real MoE layers (mpirun, srun)"},
    {"profile", "profile [options] [-o profile.h5] [--compare OLD.h5]",
     "measure every rank's expert latency against load (mpirun, srun)"},
    {"trace", "trace make|import FORMAT|info [FILE..] [options] -o trace.h5",
     "make or import expert loads"},
    {"plan", "plan --trace FILE [options] -o placement.json", "make a placement, without MPI"},
    {"score", "score --trace FILE [options] [placement.json ..]", "judge placements, without MPI"},
    {"convert", "convert FILE --to FORMAT -o FILE [options]",
     "placements to and from the formats of serving engines"},
    {"compare", "compare FILE.. [options]",
     "print the comparison stored in results.h5; launches of one configuration are pooled"},
    {"list", "list", "models, strategies, formats and synthetic loads there are"},
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
  check_choice("preset", o.preset, {"serving", "bursty", "even"});
  check_choice("variability", o.variability, {"none", "low", "high"});
  check_choice("cost", o.cost, {"auto", "tokens", "experts"});
  check_choice("device", o.device, {"cpu", "cuda"});
  check_choice("dispatch", o.dispatch, {"flat", "hierarchical"});
  check_choice("transport", o.transport, {"auto", "nccl", "mpi"});
  check_choice("clock", o.clock, {"auto", "wall", "cpu-time"});
  check_choice("check", o.check, {"none", "last", "all"});
  check_choice("dtype", o.dtype, {"auto", "f32", "bf16"});
  check_choice("format", o.format, {"table", "csv", "json"});
  check_range("steps", o.steps, 1, 1e7);
  check_range("warmup", o.warmup.value_or(0), 0, 1e6);
  check_range("block", o.block.value_or(1), 1, 1e6);
  check_range("precision", o.precision.value_or(0), 0, 100);
  check_range("max-seconds", o.max_seconds.value_or(0), 0, 1e9);
  check_range("non-moe-time", o.non_moe_time, 0, 1e3);
  check_range("profile-seconds", o.profile_seconds, 0, 3600);
  if (o.lock_clocks) check_range("lock-clocks", *o.lock_clocks, 1, 1e5);
  if (o.plan_steps) check_range("plan-steps", *o.plan_steps, 1, 1e6);
  if (o.weight_layers) check_range("weight-layers", *o.weight_layers, 1, 65536);
  if (o.ranks) check_range("ranks", *o.ranks, 1, 65536);
  for (const int tokens : o.token_sweep) check_range("tokens", tokens, 1, 1 << 24);
  check_range("timeout", o.timeout, 0, 1e9);
  check_range("hang-timeout", o.hang_timeout, 0, 1e9);
  if (o.token_sweep.size() > 1 && o.command != "run") {
    throw usage_error(fmt::format("{} takes one --tokens, only run takes several", o.command));
  }
  if (o.resume && o.overwrite) {
    throw usage_error("--resume and --overwrite exclude each other: drop one");
  }
  check_range("slowdown-floor", o.slowdown_floor, 0, 1);
  check_range("split", o.split, 0, 1);
  if (o.first_layer) check_range("first-layer", *o.first_layer, 0, 65536);
  if (o.model_layers) check_range("model-layers", *o.model_layers, 1, 65536);
  check_range("spare-slots", o.spare_slots, 0, 65536);
  check_range("replicas", o.replicas, 0, 1 << 24);
  check_choice("token-split", o.token_split,
               {"even", "by-speed", "water-fill", "water-fill-blind"});
  if (o.ranks_per_node) check_range("ranks-per-node", *o.ranks_per_node, 1, 65536);
  check_range("node-cost", o.node_cost, 0, 1);
  check_range("token-bytes", o.token_bytes, 0, 1e9);
  const bool priced = o.node_cost > 0 || !o.node_costs.empty();
  if (priced && !o.ranks_per_node && (o.command != "run" || o.ranks)) {
    throw usage_error("--node-cost and --node-costs need nodes: add --ranks-per-node N");
  }
  check_range("max-moves", o.max_moves, 0, 1 << 24);
  check_range("horizon", o.horizon, 0, 1e12);
  check_range("expert-bytes", o.expert_bytes, 0, 1e15);
  check_range("bandwidth", o.bandwidth, 0, 1e15);
  check_range("rescale", o.rescale, 0, 1);
  check_range("window", o.window.value_or(1), 1, 1 << 24);
  check_range("batch", o.batch.value_or(1), 1, 1 << 24);
  check_range("step-seconds", o.step_seconds, 0, 1e3);
  check_range("token-seconds", o.token_seconds, 0, 1e3);
  check_range("max-batch-tokens", o.max_batch_tokens, 1, 1 << 24);
  check_range("nodes", o.nodes, 1, 65536);
  check_range("groups", o.groups, 0, 65536);
  if (o.placements.empty()) throw usage_error("--placements names no strategy: see gembench list");
  if (o.command == "run" && o.output.empty() && !o.dry_run && !o.print_config) {
    throw usage_error("run needs --output FILE for its results");
  }
  if (o.routing == "trace" && o.trace.empty()) {
    throw usage_error("--routing trace needs --trace FILE");
  }
}

/// What differs from command to command.
void set_defaults(Options& o) {
  if (o.command == "trace") o.steps = 1024;
  if (o.command == "run" || o.command == "profile") o.max_moves = 16;
  if (o.command == "convert") o.model.clear();
  if (o.command == "profile") o.profile_seconds = 60;
}

/// Options that differ from their defaults: a configuration may state those too.
std::set<std::string> given(const Options& options) {
  Options copy = options, defaults;
  defaults.command = options.command;
  set_defaults(defaults);
  const auto now = options_of(options.command, copy).settings;
  const auto before = options_of(options.command, defaults).settings;
  std::set<std::string> names;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i].value() != before[i].value()) names.insert(now[i].name);
  }
  return names;
}

constexpr std::uintmax_t kLargestConfig = 1 << 20;

/// A value as --config reads it.
std::string config_value(const nlohmann::ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> parts;
  for (const auto& part : value) parts.push_back(config_value(part));
  return fmt::format("{}", fmt::join(parts, ","));
}

/// The options in a results.h5 as --config reads them.
std::string config_of_run(const std::string& path) {
  const auto values = nlohmann::ordered_json::parse(read_run_config(path), nullptr, false);
  if (!values.is_object() ||
      values.value("/command"_json_pointer, nlohmann::ordered_json()) != "run") {
    throw usage_error(
        fmt::format("{} holds no options of a run: give a results.h5 of gembench run", path));
  }
  std::string lines;
  for (const auto& [name, value] : values.items()) {
    const bool given = !value.is_null() && !(value.is_array() && value.empty());
    if (name != "command" && given) lines += fmt::format("{} = {}\n", name, config_value(value));
  }
  return lines;
}

/// Stores the words of the command line, then what it left open: from --config, from --config-from.
po::variables_map parse(const po::options_description& all, const std::string& command,
                        const std::vector<std::string>& words) {
  po::positional_options_description positional;
  if (command != "run" && command != "profile" && command != "list") positional.add("file", -1);
  using style = po::command_line_style::style_t;
  po::variables_map values;
  po::store(po::command_line_parser(words)
                .options(all)
                .positional(positional)
                .style(style::unix_style & ~style::allow_guessing)
                .run(),
            values);
  if (values.count("config") != 0) {
    const std::string path = values["config"].as<std::string>();
    std::istringstream lines(read_input_file(path, kLargestConfig));
    try {
      po::store(po::parse_config_file(lines, all), values);
    } catch (const po::error& error) {
      throw usage_error(fmt::format("{}: {}: print one with gembench {} --print-config", path,
                                    error.what(), command));
    }
  }
  if (values.count("config-from") != 0) {
    const std::string path = values["config-from"].as<std::string>();
    std::istringstream lines(config_of_run(path));
    try {
      po::store(po::parse_config_file(lines, all), values);
    } catch (const po::error& error) {
      throw usage_error(
          fmt::format("{}: {}: replay it with the program that wrote it", path, error.what()));
    }
  }
  return values;
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  Parsed parsed;
  Options& o = parsed.options;
  const std::vector<std::string> words(argv + 1, argv + argc);
  o.program = argv[0];
  o.words = words;
  o.command_line = fmt::format("gembench {}", fmt::join(words, " "));
  if (words.empty()) throw usage_error("no command given: see gembench --help");
  if (words[0] == "--help" || words[0] == "-h") {
    parsed.text = general_help();
    return parsed;
  }
  if (words[0] == "--version") {
    parsed.text = version_text();
    return parsed;
  }
  if (words[0] == "--list") {
    o.command = "list";
    return parsed;
  }
  const Command& command = find_command(words[0]);
  o.command = command.name;
  set_defaults(o);

  const po::options_description visible = options_of(o.command, o).description;
  po::options_description all;
  all.add(visible).add_options()("file", po::value(&o.files));
  try {
    auto values = parse(all, o.command, {words.begin() + 1, words.end()});
    if (values.count("help") != 0) {
      std::ostringstream text;
      text << "Usage: gembench " << command.usage << '\n' << command.summary << '\n' << visible;
      parsed.text = text.str();
      return parsed;
    }
    po::notify(values);
    o.model_stated = values.count("model") != 0 && !values["model"].defaulted();
  } catch (const po::error& error) {
    throw usage_error(fmt::format("{}: see gembench {} --help", error.what(), o.command));
  }
  if (!o.trace.empty() && o.routing == "synthetic") o.routing = "trace";
  if (std::exchange(o.adapt, false)) {
    const auto last = std::find_if(o.placements.rbegin(), o.placements.rend(),
                                   [](const auto& name) { return !live_name(name).changes(); });
    if (last != o.placements.rend()) o.placements.push_back("adapt:" + *last);
  }
  settle_length(o);
  validate(o);
  require_effect(o, given(o));
  if (o.print_config) parsed.text = to_config(o);
  return parsed;
}

std::string to_json(const Options& options) {
  Options copy = options;
  nlohmann::ordered_json values{{"command", options.command}};
  for (const Setting& setting : options_of(options.command, copy).settings) {
    if (setting.shapes_result) values[setting.name] = setting.value();
  }
  return values.dump();
}

std::string to_config(const Options& options) {
  Options copy = options;
  std::string text = fmt::format("# gembench {} --config FILE\n", options.command);
  for (const Setting& setting : options_of(options.command, copy).settings) {
    const auto value = setting.value();
    const bool given = !value.is_null() && !(value.is_array() && value.empty());
    text += fmt::format("{}{} = {}\n", given ? "" : "# ", setting.name,
                        given ? config_value(value) : "");
  }
  return text;
}

}  // namespace gembench::inline cli
