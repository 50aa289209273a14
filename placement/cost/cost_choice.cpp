#include "placement/cost/cost_choice.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
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

std::optional<ExpertRise> expert_rise(const Profile& profile, int slots) {
  const CostModel cost(profile);
  const auto first = profile.load_points[1];
  const auto one = std::int64_t{slots}, four = 4 * one;
  if (first >= one || profile.load_points.back() < four) return std::nullopt;
  const auto seconds = [&](std::int64_t tokens) {
    double sum = 0;
    for (int rank = 0; rank < profile.ranks; ++rank) sum += cost.seconds(rank, tokens);
    return sum;
  };
  const double at_one = seconds(one), rise = at_one - seconds(first);
  if (at_one <= 0) return std::nullopt;
  const double below = rise / static_cast<double>(one - first);
  const double above = (seconds(four) - at_one) / static_cast<double>(four - one);
  return ExpertRise{rise / at_one,
                    above > 0 ? below / above : std::numeric_limits<double>::infinity()};
}

CostChoice choose_cost(const Profile& profile, int slots) {
  CostChoice choice;
  if (profile.routed.empty()) {
    choice.rise = expert_rise(profile, profile.slots > 0 ? profile.slots : slots);
    if (choice.rise && choice.rise->shows_experts()) choice.kind = CostKind::per_expert;
    return choice;
  }
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
