#pragma once

#include <boost/program_options.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// An option's value as it is now in the Options it was made for.
struct Setting {
  std::string name;
  bool shapes_result = true;  ///< see to_json(Options)
  std::function<nlohmann::ordered_json()> value;
};

/// The options of a subcommand in the groups its help shows.
struct CommandOptions {
  boost::program_options::options_description description;
  std::vector<Setting> settings;
};

/// Parsing writes into `options`, which must outlive the result. Usage errors of single values are
/// thrown while they are stored.
[[nodiscard]] CommandOptions options_of(const std::string& command, Options& options);

}  // namespace gembench::inline cli
