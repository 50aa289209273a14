#include "harness/cli/command_line.hpp"
#include "harness/cli/completion.hpp"
#include "harness/cli/manual.hpp"
#include "harness/cli/printing.hpp"
#include "harness/cli/version.hpp"
#include "harness/commands/commands.hpp"

namespace gembench::inline commands {

void execute(const CompletionCommand& command) {
  print_text(completion_script(command.files.at(0), command_pages()));
}

void execute(const ManCommand& /*nothing to ask*/) {
  print_text(manual_page(command_pages(), version_number()));
}

}  // namespace gembench::inline commands
