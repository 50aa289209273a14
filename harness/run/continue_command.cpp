#include "harness/run/continue_command.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "harness/cli/shell_word.hpp"
#include "moe_layer/mpi/launch.hpp"

namespace gembench::inline run {
namespace {

std::string started_by(const RunCommand& options, int ranks) {
  if (const char* script = std::getenv("GEMBENCH_STARTED_BY")) return script;
  const Launch& launch = launched_as();
  const std::string program = shell_word(options.program);
  if (launch.by.empty()) return program;
  const bool pmix = launch.by == "srun" && std::getenv("PMIX_RANK") != nullptr;
  return fmt::format("{}{} -n {} {}", launch.by, pmix ? " --mpi=pmix" : "", ranks, program);
}

}  // namespace

std::string continue_command(const RunCommand& options, int ranks) {
  std::string command = started_by(options, ranks);
  for (const std::string& word : options.words) {
    if (word != "--resume" && word != "--overwrite") command += ' ' + shell_word(word);
  }
  return command + " --resume";
}

}  // namespace gembench::inline run
