#pragma once

#include <span>
#include <string_view>

#include "placement/per_step/step_plan.hpp"

namespace gembench::inline per_step {

/// One row of the table: a system that decides in every step anew, once it knows the step's tokens.
struct StepSystem {
  std::string_view name;
  std::string_view summary;
  bool fetches = false;  ///< moves weights in every step; else it only splits replicas' tokens
  PreparedSystem (*prepare)(const StepInput&);

  /// Whether it can do anything for a placement: slots to fetch into, or replicas.
  [[nodiscard]] bool applies_to(const Placement& placement) const;
};

/// The table, in the order in which `gembench list` prints it.
[[nodiscard]] std::span<const StepSystem> step_systems();
/// Looks a name up; throws a usage error that lists the known names.
[[nodiscard]] const StepSystem& find_step_system(std::string_view name);

}  // namespace gembench::inline per_step
