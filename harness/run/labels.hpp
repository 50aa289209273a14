#pragma once

#include <string>
#include <vector>

#include "placement/cost/placement.hpp"

namespace gembench::inline run {

/// The strategies' names, made unique: "linear", "linear#2".
[[nodiscard]] std::vector<std::string> labels_of(const std::vector<Placement>& placements);

}  // namespace gembench::inline run
