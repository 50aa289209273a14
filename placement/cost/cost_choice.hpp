#pragma once

#include <optional>
#include <string_view>

#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// How well a cost model predicts the profile's routed loads, of which it was not made:
/// |predicted / measured - 1|, overhead in both, over all ranks and points that have tokens.
struct RoutedError {
  double median = 0;
  double worst = 0;
  int loads = 0;  ///< that were compared
};
/// None where the profile holds no routed loads that took any time.
[[nodiscard]] std::optional<RoutedError> routed_error(const CostModel& cost,
                                                      const Profile& profile);

/// Both cost models against the routed loads, and the one whose median error is smaller.
struct CostChoice {
  CostKind kind = CostKind::sum;
  std::optional<RoutedError> sum, per_expert;  ///< none: nothing to choose by, `sum` it is
};
[[nodiscard]] CostChoice choose_cost(const Profile& profile);

[[nodiscard]] const char* name_of(CostKind kind);
/// `name` may also be one of before, tokens or experts; of any other it is the sum.
[[nodiscard]] CostKind cost_kind(std::string_view name);

}  // namespace gembench::inline cost
