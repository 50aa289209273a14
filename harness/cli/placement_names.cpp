#include "harness/cli/placement_names.hpp"

#include <string_view>

namespace gembench::inline cli {

PlacementName parse_placement_name(const std::string& name) {
  constexpr std::string_view kAdapt = "adapt:", kOracle = "oracle:";
  if (name.starts_with(kAdapt)) return {true, false, name.substr(kAdapt.size())};
  if (name.starts_with(kOracle)) return {false, true, name.substr(kOracle.size())};
  return {false, false, name};
}

}  // namespace gembench::inline cli
