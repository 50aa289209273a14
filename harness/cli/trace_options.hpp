#pragma once

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// The command line of `trace`: the options of all its subcommands, and words that choose the
/// subcommand.
struct TraceLine : TraceImportCommand {
  static constexpr const char* kName = "trace";
  bool learning_curve = false;
};

void define(OptionSet& set, TraceLine& o);
/// Usage error for words that are none of make, import, join and info.
[[nodiscard]] Command command_of(const TraceLine& line);

}  // namespace gembench::inline cli
