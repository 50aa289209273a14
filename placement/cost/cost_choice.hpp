#pragma once

#include <optional>
#include <string_view>

#include "placement/speeds/profile.hpp"

namespace gembench::inline cost {

/// How well a cost model predicts the profile's routed loads, to which it was not fitted:
/// |predicted / measured - 1|, overhead included in both, over all ranks and points with tokens.
struct RoutedError {
  double median = 0;
  double worst = 0;
  int loads = 0;  ///< that were compared
};
/// None if the profile has no routed loads with a time above 0.
[[nodiscard]] std::optional<RoutedError> routed_error(const CostModel& cost,
                                                      const Profile& profile);

/// The errors of both cost models at the routed loads, and the model with the smaller median error.
struct CostChoice {
  CostKind kind = CostKind::sum;
  std::optional<RoutedError> sum, per_expert;  ///< none: no data for a choice, so `sum` is used
};
[[nodiscard]] CostChoice choose_cost(const Profile& profile);

[[nodiscard]] const char* name_of(CostKind kind);
/// `name` may also be one of before, tokens or experts; of any other it is the sum.
[[nodiscard]] CostKind cost_kind(std::string_view name);

}  // namespace gembench::inline cost
