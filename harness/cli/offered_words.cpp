#include "harness/cli/offered_words.hpp"

#include "harness/cli/option_values.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/base/known_names.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/exchange/traffic_formats.hpp"
#include "placement/per_step/step_system.hpp"
#include "placement/speeds/builtin_profiles.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline cli {
namespace {

std::vector<std::string> builtin(std::vector<std::string> names) {
  for (std::string& name : names) name.insert(0, kBuiltin);
  return names;
}

}  // namespace

std::vector<std::string> model_words() {
  return names_of_rows(model_presets());
}

std::vector<std::string> strategy_words() {
  return names_of_rows(strategy_table());
}

std::vector<std::string> step_system_words() {
  return names_of_rows(step_systems());
}

std::vector<std::string> profile_words() {
  return builtin(builtin_profile_names());
}

std::vector<std::string> slowdown_words() {
  return builtin(names_of_rows(builtin_slowdown_sets()));
}

std::vector<std::string> placement_format_words(bool written) {
  auto names = names_of_rows(placement_formats());
  if (!written) {
    names.insert(names.begin(), "auto");
    return names;
  }
  const auto traffic = names_of_rows(traffic_formats());
  names.insert(names.end(), traffic.begin(), traffic.end());
  return names;
}

}  // namespace gembench::inline cli
