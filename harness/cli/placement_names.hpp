#pragma once

#include <string>

namespace gembench::inline cli {

/// "adapt:gem" starts with gem's placement and adapts; "oracle:gem" is replanned by gem at every
/// --drift, with knowledge of it, as an upper bound for adapting. Any other name stays the same.
struct PlacementName {
  bool adapts = false, oracle = false;
  std::string strategy;
  [[nodiscard]] bool is_dynamic() const { return adapts || oracle; }
};
[[nodiscard]] PlacementName parse_placement_name(const std::string& name);
/// The name in its own case, inside relabel:, adapt: and oracle: too; files' and unknown ones stay.
[[nodiscard]] std::string as_known_placement(const std::string& name);

}  // namespace gembench::inline cli
