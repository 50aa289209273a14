#pragma once

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// The options of the commands that read a file and print it or write it in another form.
void define(OptionSet& set, ConvertCommand& o);
void define(OptionSet& set, InfoCommand& o);
void define(OptionSet& set, CompareCommand& o);
void define(OptionSet& set, ListCommand& o);
void define(OptionSet& set, CompletionCommand& o);
void define(OptionSet& set, ManCommand& o);

}  // namespace gembench::inline cli
