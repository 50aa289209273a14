#include "harness/run/continue_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

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

std::string shell_word(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("_-+=:,./@%^").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, plain)) return word;
  std::string quoted = "'";
  for (const char c : word) c == '\'' ? quoted += "'\\''" : quoted += c;
  return quoted + "'";
}

std::string continue_command(const RunCommand& options, int ranks) {
  std::string command = started_by(options, ranks);
  for (const std::string& word : options.words) {
    if (word != "--resume" && word != "--overwrite") command += ' ' + shell_word(word);
  }
  return command + " --resume";
}

}  // namespace gembench::inline run
