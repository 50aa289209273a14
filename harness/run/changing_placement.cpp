#include "harness/run/changing_placement.hpp"

namespace gembench::inline run {

const Placement& in_force(const Placement& start, const AdaptivePlacement& adaptive, int step) {
  const Placement* now = &start;
  for (const auto& [from, placement] : adaptive.later) {
    if (step >= from) now = &placement;
  }
  return *now;
}

}  // namespace gembench::inline run
