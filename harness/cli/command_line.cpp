#include "harness/cli/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/program_options.hpp>
#include <concepts>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "harness/cli/completion.hpp"
#include "harness/cli/file_options.hpp"
#include "harness/cli/plan_options.hpp"
#include "harness/cli/run_options.hpp"
#include "harness/cli/shell_word.hpp"
#include "harness/cli/trace_options.hpp"
#include "harness/cli/version.hpp"
#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"
#include "placement/files/input_file.hpp"
#include "results/run_reader.hpp"

namespace po = boost::program_options;

namespace gembench::inline cli {
namespace {

/// Values of the command line besides the command.
struct Line {
  std::vector<std::string> words;  ///< after the program's name
  std::string program, config;
  bool print_config = false;
};

struct CommandRow {
  const char* name;
  const char* usage;
  const char* summary;
  Parsed (*parse)(const CommandRow& row, const Line& line);
  CommandPage (*describe)(const CommandRow& row);
  std::vector<std::string> words = {};  ///< that may follow it
};

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
        fmt::format("{} has no options of a run: give a results.h5 of gembench run", path));
  }
  std::string lines;
  for (const auto& [name, value] : values.items()) {
    const bool given = !value.is_null() && !(value.is_array() && value.empty());
    if (name != "command" && given) lines += fmt::format("{} = {}\n", name, config_value(value));
  }
  return lines;
}

/// The words as meant: "a, b" behind an option is one list, and "50 %" one number.
std::vector<std::string> joined(const std::vector<std::string>& words) {
  std::vector<std::string> result;
  bool in_value = false;  // of an option
  for (const std::string& word : words) {
    const bool option = word.starts_with("-");
    if (in_value && !option &&
        (word == "%" || word.starts_with(",") || result.back().ends_with(","))) {
      result.back() += word;
      continue;
    }
    in_value = option ? word.find('=') != std::string::npos
                      : !result.empty() && result.back().starts_with("-");
    result.push_back(word);
  }
  return result;
}

/// Of an option that stands twice, the last counts.
void keep_last(po::parsed_options& parsed) {
  std::set<std::string> seen;
  auto& options = parsed.options;
  for (auto option = options.rbegin(); option != options.rend(); ++option) {
    const bool again = option->position_key < 0 && !option->string_key.empty() &&
                       !seen.insert(option->string_key).second;
    if (again) option->string_key.clear();
  }
  std::erase_if(options, [](const auto& option) {
    return option.position_key < 0 && option.string_key.empty();
  });
}

/// " (did you mean '--model'?)"
std::string option_meant(const po::options_description& all, const std::string& typed) {
  std::vector<std::string> names;
  for (const auto& option : all.options())
    names.push_back(fmt::format("--{}", option->long_name()));
  return did_you_mean(fmt::format("--{}", typed.substr(typed.find_first_not_of('-'))), names);
}

/// Stores the words of the command line, then what it left open: from --config, from --config-from.
po::variables_map store(const po::options_description& all, const char* command,
                        const std::vector<std::string>& words) {
  po::positional_options_description positional;
  positional.add("file", -1);
  using style = po::command_line_style::style_t;
  po::variables_map values;
  auto parsed = po::command_line_parser(joined(words))
                    .options(all)
                    .positional(positional)
                    .style(style::unix_style & ~style::allow_guessing)
                    .run();
  keep_last(parsed);
  po::store(parsed, values);
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

std::string config_text(const OptionSet& set, const char* command) {
  std::string text = fmt::format("# gembench {} --config FILE\n", command);
  for (const Option& option : set.options()) {
    const auto value = option.value();
    const bool given = !value.is_null() && !(value.is_array() && value.empty());
    text += fmt::format("{}{} = {}\n", given ? "" : "# ", option.name(),
                        given ? config_value(value) : "");
  }
  return text;
}

template <class C>
std::string json_of(C command) {
  OptionSet set;
  define(set, command);
  nlohmann::ordered_json values{{"command", C::kName}};
  for (const Option& option : set.options()) {
    if (option.shapes_result()) values[option.name()] = option.value();
  }
  return values.dump();
}

/// --config and its kin, which are about the line.
template <class C>
void line_options(OptionSet& set, C& command, Line& line) {
  auto& group = set.about_the_line();
  group.add_options()("config", po::value(&line.config)->value_name("FILE"),
                      "options as 'name = value' lines; the command line wins");
  if constexpr (requires { command.config_from; }) {
    group.add_options()("config-from", po::value(&command.config_from)->value_name("FILE"),
                        "replay the run of a results.h5: its options, routing, placements, order");
  }
  group.add_options()("print-config", po::bool_switch(&line.print_config),
                      "print all options in the format of --config, and end");
  group.add_options()("help,h", "print this text");
}

std::string help_of(const CommandRow& row, const po::options_description& options) {
  std::ostringstream text;
  text << "Usage: gembench " << row.usage << '\n' << row.summary << '\n' << options;
  return text.str();
}

template <class C>
Parsed parse_as(const CommandRow& row, const Line& given) {
  C command;
  Line line = given;
  OptionSet set;
  define(set, command);
  line_options(set, command, line);
  const po::options_description visible = set.description();
  po::options_description all;
  all.add(visible);
  std::vector<std::string> strays;  // of a command without files
  if constexpr (requires { command.files; })
    all.add_options()("file", po::value(&command.files));
  else
    all.add_options()("file", po::value(&strays));
  if constexpr (requires { command.words; }) {
    command.program = line.program;
    command.words = line.words;
    command.command_line = "gembench";
    for (const std::string& word : line.words) command.command_line += ' ' + shell_word(word);
  }
  try {
    auto values = store(all, row.name, {line.words.begin() + 1, line.words.end()});
    if (values.count("help") != 0) return {{}, help_of(row, visible)};
    po::notify(values);
    for (const Option& option : set.options()) option.note(values);
  } catch (const po::unknown_option& unknown) {
    throw usage_error(fmt::format("{}{}: see gembench {} --help", unknown.what(),
                                  option_meant(visible, unknown.get_option_name()), row.name));
  } catch (const po::error& error) {
    throw usage_error(fmt::format("{}: see gembench {} --help", error.what(), row.name));
  }
  if (!strays.empty()) {
    throw usage_error(fmt::format("{} accepts no file '{}': see gembench {} --help", row.name,
                                  strays[0], row.name));
  }
  if constexpr (requires { settle(command); }) settle(command);
  set.require(line.print_config);
  if (line.print_config) return {{}, config_text(set, row.name)};
  if constexpr (std::same_as<C, TraceLine>) {
    return {command_of(command), std::nullopt};
  } else {
    return {std::move(command), std::nullopt};
  }
}

template <class C>
CommandPage describe_as(const CommandRow& row) {
  C command;
  Line line;
  OptionSet set;
  define(set, command);
  line_options(set, command, line);
  return {row.name, row.usage, row.summary, row.words, set.rows()};
}

template <class C>
CommandRow row_of(const char* name, const char* usage, const char* summary,
                  std::vector<std::string> words = {}) {
  return {name, usage, summary, parse_as<C>, describe_as<C>, std::move(words)};
}

const std::vector<CommandRow>& commands() {
  static const std::vector<CommandRow> table{
      row_of<RunCommand>("run", "run [options]",
                         "measure placements side by side on real MoE layers (mpirun, srun)"),
      row_of<ProfileCommand>(
          "profile", "profile [options] [-o profile.h5] [--compare OLD.h5] [--history FOLDER]",
          "measure every rank's expert latency against load (mpirun, srun)"),
      row_of<ProbeCommand>("probe", "probe [options] [--slower-than SHARE] [--history FOLDER]",
                           "name slow ranks in about half a minute (mpirun, srun, or alone)"),
      row_of<TraceLine>("trace",
                        "trace make|import FORMAT|join|info [FILE...] [options] -o trace.h5",
                        "make or import expert loads", {"make", "import", "info"}),
      row_of<PlanCommand>("plan", "plan --trace FILE [options] -o placement.json",
                          "make a placement, without MPI"),
      row_of<ScoreCommand>("score", "score --trace FILE [options] [placement.json ...]",
                           "predict the cost of placements, without MPI"),
      row_of<AdviseCommand>("advise", "advise --trace FILE --ranks N [options]",
                            "say whether another placement would pay, from recorded loads"),
      row_of<SensitivityCommand>(
          "sensitivity", "sensitivity --ranks N [options]",
          "predict gains against imbalance of loads and spread of speeds, without MPI"),
      row_of<ConvertCommand>("convert", "convert FILE --to FORMAT -o FILE [options]",
                             "convert placements to and from the formats of serving engines"),
      row_of<CompareCommand>(
          "compare",
          "compare FILE... [options] | compare NEW.h5 --baseline OLD.h5 [--fail-above P]",
          "print the comparison stored in results.h5; launches of one configuration are pooled"),
      row_of<InfoCommand>("info", "info FILE... [options]",
                          "describe a file: results, profile, trace or placement"),
      row_of<ListCommand>("list", "list", "list models, strategies, formats and synthetic loads"),
      row_of<CompletionCommand>("completion", "completion bash|zsh|fish",
                                "print a script that completes command lines in a shell",
                                {std::begin(kShells), std::end(kShells)}),
      row_of<ManCommand>("man", "man", "print the manual page: gembench man | man -l -"),
  };
  return table;
}

std::string general_help() {
  std::string text =
      "gembench: measure how much time MoE layers lose at their barriers, and how much a better "
      "expert placement saves\n\nUsage: gembench COMMAND [options]\n\n";
  for (const CommandRow& command : commands()) {
    text += fmt::format("  {:<12} {}\n", command.name, command.summary);
  }
  return text +
         "\n'gembench help COMMAND' lists a command's options; 'gembench --version' the versions."
         "\nExit codes: 0 ok, 1 failed, 2 usage, 3 environment, 4 output, 5 timeout.\n"
         "Example: jobs/local.sh -n 4 run --model gpt-oss-20b --scale 4 --layers 8 -o results.h5\n";
}

const CommandRow& find_command(const std::string& name) {
  const auto names = names_of_rows(commands());
  for (const CommandRow& command : commands()) {
    if (as_known(name, names) == command.name) return command;
  }
  throw usage_error(
      fmt::format("unknown command '{}'{}: see gembench --help", name, did_you_mean(name, names)));
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  const Line line{{argv + 1, argv + argc}, argv[0], "", false};
  if (line.words.empty()) throw usage_error("no command given: see gembench --help");
  const std::string& first = line.words[0];
  if (first == "--help" || first == "-h") return {{}, general_help()};
  if (first == "--version") return {{}, version_text()};
  if (first == "--list") return {ListCommand{}, std::nullopt};
  if (first == "help") {
    if (line.words.size() == 1) return {{}, general_help()};
    const CommandRow& row = find_command(line.words[1]);
    return row.parse(row, {{row.name, "--help"}, line.program, "", false});
  }
  const CommandRow& row = find_command(first);
  return row.parse(row, line);
}

std::vector<CommandPage> command_pages() {
  std::vector<CommandPage> pages;
  for (const CommandRow& row : commands()) pages.push_back(row.describe(row));
  return pages;
}

std::string to_json(const RunCommand& command) {
  return json_of(command);
}

std::string to_json(const ProfileCommand& command) {
  return json_of(command);
}

std::string to_json(const ProbeCommand& command) {
  return json_of(command);
}

std::string to_config(const RunCommand& command) {
  RunCommand copy = command;
  OptionSet set;
  define(set, copy);
  return config_text(set, RunCommand::kName);
}

}  // namespace gembench::inline cli
