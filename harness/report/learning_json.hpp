#pragma once

#include <nlohmann/json.hpp>

#include "harness/report/numbers.hpp"
#include "harness/run/learning_curve.hpp"

namespace gembench::inline report {

/// The points of a learning curve, as all commands write them.
inline nlohmann::ordered_json learning_json(const LearningCurve& curve) {
  auto points = nlohmann::ordered_json::array();
  for (const auto& [steps, change] : curve.points)
    points.push_back({{"planned_steps", steps}, {"change", json_number(change)}});
  return points;
}

}  // namespace gembench::inline report
