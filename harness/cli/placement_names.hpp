#pragma once

#include <string>

namespace gembench::inline cli {

/// "adapt:gem" begins as gem's placement and adapts; "oracle:gem" is replanned by gem at every
/// --drift, knowing what it brings: what adapting could gain at best. Any other name stays.
struct PlacementName {
  bool adapts = false, oracle = false;
  std::string strategy;
  [[nodiscard]] bool is_dynamic() const { return adapts || oracle; }
};
[[nodiscard]] PlacementName parse_placement_name(const std::string& name);
/// The name in its own case, inside relabel:, adapt: and oracle: too; files' and unknown ones stay.
[[nodiscard]] std::string as_known_placement(const std::string& name);

}  // namespace gembench::inline cli
