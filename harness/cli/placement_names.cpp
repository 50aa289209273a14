#include "harness/cli/placement_names.hpp"

#include <string_view>

#include "placement/base/known_names.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline cli {

PlacementName parse_placement_name(const std::string& name) {
  constexpr std::string_view kAdapt = "adapt:", kOracle = "oracle:";
  if (name.starts_with(kAdapt)) return {true, false, name.substr(kAdapt.size())};
  if (name.starts_with(kOracle)) return {false, true, name.substr(kOracle.size())};
  return {false, false, name};
}

std::string as_known_placement(const std::string& text) {
  const auto colon = text.find(':');
  if (colon == std::string::npos) return as_known(text, names_of_rows(strategy_table()));
  const std::string prefix = as_known(text.substr(0, colon), {"adapt", "oracle", "relabel"});
  for (const char* wraps : {"adapt", "oracle", "relabel"}) {
    if (prefix == wraps) return prefix + ":" + as_known_placement(text.substr(colon + 1));
  }
  return text;  // file:PATH
}

}  // namespace gembench::inline cli
