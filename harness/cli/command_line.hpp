#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/cli/command_page.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// Parses `gembench COMMAND ...`, then the file of --config; the command line wins. Usage error,
/// with the remedy, for anything unknown, misspelt (prefixes are not guessed) or out of range.
/// `text` is set if there is only something to print: help, version, --print-config.
struct Parsed {
  Command command;
  std::optional<std::string> text;
};
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

/// All commands, with all their options.
[[nodiscard]] std::vector<CommandPage> command_pages();

/// JSON of the options that affect a result, as stored in it: ranks must agree on them, and
/// --resume needs the same. Does not include where and how results are shown.
[[nodiscard]] std::string to_json(const RunCommand& command);
[[nodiscard]] std::string to_json(const ProfileCommand& command);
[[nodiscard]] std::string to_json(const ProbeCommand& command);
/// All options of the command as `name = value` lines, which --config reads.
[[nodiscard]] std::string to_config(const RunCommand& command);

}  // namespace gembench::inline cli
