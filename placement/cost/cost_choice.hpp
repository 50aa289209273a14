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

/// What loads that are even over experts say of the time an active expert takes: up to one token
/// an expert every further token makes another expert active, beyond none does.
struct ExpertRise {
  double share = 0;    ///< of the time at one token an expert: how much it rises up to there
  double steeper = 0;  ///< slope up to there over that up to four tokens; infinite if that falls
  /// Whether active experts take time. The limits are ours: the built-in profiles lie far above
  /// them, or below where a rank has few experts.
  [[nodiscard]] bool shows_experts() const { return share >= 0.1 && steeper >= 2; }
};
/// Of all ranks together; `slots`: experts of a rank. None if no load between none and one token an
/// expert was measured, or none as large as four.
[[nodiscard]] std::optional<ExpertRise> expert_rise(const Profile& profile, int slots);

/// The errors of both cost models at the routed loads, and the model with the smaller median error.
/// Without routed loads `per-expert` if even loads show that active experts take time, else `sum`.
struct CostChoice {
  CostKind kind = CostKind::sum;
  std::optional<RoutedError> sum, per_expert;  ///< none: no routed loads
  std::optional<ExpertRise> rise = {};         ///< without them
};
/// `slots`: experts of a rank, if the profile does not say; 0: not known.
[[nodiscard]] CostChoice choose_cost(const Profile& profile, int slots = 0);

[[nodiscard]] const char* name_of(CostKind kind);
/// `name` may also be one of before, tokens or experts; of any other it is the sum.
[[nodiscard]] CostKind cost_kind(std::string_view name);

}  // namespace gembench::inline cost
