#include "harness/report/shrinkage_json.hpp"

#include <nlohmann/json.hpp>

namespace gembench::inline report {

nlohmann::ordered_json shrinkage_json(const std::optional<Shrinkage>& shrinkage) {
  if (!shrinkage) return nullptr;
  return {{"rho", shrinkage->rho},
          {"profiles", shrinkage->profiles},
          {"largest", shrinkage->largest},
          {"passing", shrinkage->passing}};
}

}  // namespace gembench::inline report
