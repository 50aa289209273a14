#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gembench {

/// Every option of every subcommand, with its default. One plain struct: nothing after parsing
/// knows Boost.
struct Options {
  std::string command;
  std::string command_line;

  // Model
  std::string model = "gpt-oss-20b";
  double scale = 1;
  std::optional<int> layers, experts, topk, hidden, ffn, weight_layers;
  std::string dtype = "auto";

  // Routing
  std::optional<int> tokens;
  std::string routing = "synthetic";
  std::string preset = "serving";
  std::string trace;

  // Placement
  std::vector<std::string> placements = {"linear", "eplb", "gem"};
  std::string profile;
  std::optional<int> plan_steps;
  bool in_sample = false;

  // Measurement
  int steps = 40;
  int warmup = 2;
  int block = 8;
  bool resident = false;
  std::vector<double> slowdown;
  std::string variability = "none";
  std::string device = "cpu";
  std::string clock = "auto";
  std::string check = "last";
  double non_moe_time = 0;
  double profile_seconds = 5;
  std::uint64_t seed = 1;

  // Output
  std::string output;
  bool overwrite = false;
  std::string format = "table";
  bool quiet = false;

  // trace, plan, score, compare
  std::optional<int> ranks;
  std::string strategy = "gem";
  std::vector<std::string> strategies;
  std::vector<std::string> files;  ///< positional arguments
};

/// Parses `gembench COMMAND ...`. Usage error, with the remedy, for anything unknown, misspelt
/// (prefixes are not guessed) or out of range. `help` is set instead of a command's options when
/// help or the version was asked for.
struct Parsed {
  Options options;
  std::optional<std::string> help;
};
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

/// All options as JSON text, as stored in results and compared between ranks.
[[nodiscard]] std::string to_json(const Options& options);

}  // namespace gembench
