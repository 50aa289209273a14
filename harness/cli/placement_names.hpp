#pragma once

#include <string>

namespace gembench::inline cli {

/// "adapt:gem" begins as gem's placement and adapts; "oracle:gem" is planned anew by gem at every
/// --drift, knowing what it brings: what adapting could gain at best. Any other name stays.
struct LiveName {
  bool adapts = false, oracle = false;
  std::string strategy;
  [[nodiscard]] bool changes() const { return adapts || oracle; }
};
[[nodiscard]] LiveName live_name(const std::string& name);

}  // namespace gembench::inline cli
