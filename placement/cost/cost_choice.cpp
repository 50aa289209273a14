#include "placement/cost/cost_choice.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline cost {

std::optional<RoutedError> routed_error(const CostModel& cost, const Profile& profile) {
  std::vector<double> errors;
  for (int rank = 0; rank < profile.ranks; ++rank)
    for (std::size_t point = 0; point < profile.routed.points; ++point) {
      const auto tokens = profile.routed.of(rank, point, profile.slots);
      const bool idle = std::ranges::all_of(tokens, [](auto n) { return n == 0; });
      const double measured =
          profile.routed.at(rank, point) + profile.overhead[static_cast<std::size_t>(rank)];
      if (idle || measured <= 0) continue;
      errors.push_back(std::abs(cost.rank_seconds(rank, tokens) / measured - 1));
    }
  if (errors.empty()) return std::nullopt;
  RoutedError error;
  error.loads = static_cast<int>(errors.size());
  error.worst = *std::ranges::max_element(errors);
  error.median = quantile(std::move(errors), 0.5);
  return error;
}

CostChoice choose_cost(const Profile& profile) {
  CostChoice choice;
  if (profile.routed.empty()) return choice;
  choice.sum = routed_error(CostModel(profile), profile);
  choice.per_expert =
      routed_error(CostModel(profile, CostKind::per_expert, profile.slots), profile);
  if (choice.sum && choice.per_expert->median < choice.sum->median)
    choice.kind = CostKind::per_expert;
  return choice;
}

const char* name_of(CostKind kind) {
  return kind == CostKind::per_expert ? "per-expert" : "sum";
}

CostKind cost_kind(std::string_view name) {
  return name == "per-expert" || name == "experts" ? CostKind::per_expert : CostKind::sum;
}

}  // namespace gembench::inline cost
