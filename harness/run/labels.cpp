#include "harness/run/labels.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace gembench::inline run {

std::vector<std::string> labels_of(const std::vector<Placement>& placements) {
  std::vector<std::string> labels;
  for (const Placement& placement : placements) {
    std::string label = placement.strategy;
    for (int n = 2; std::find(labels.begin(), labels.end(), label) != labels.end(); ++n) {
      label = fmt::format("{}#{}", placement.strategy, n);
    }
    labels.push_back(label);
  }
  return labels;
}

}  // namespace gembench::inline run
