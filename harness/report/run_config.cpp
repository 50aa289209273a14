#include "harness/report/run_config.hpp"

#include <nlohmann/json.hpp>

#include "placement/cost/cost_choice.hpp"

namespace gembench::inline report {

double stated_non_moe_time(const RunInfo& info) {
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  if (!config.is_object()) return 0;
  const auto found = config.find("non-moe-time");
  return found != config.end() && found->is_number() ? found->get<double>() : 0;
}

std::string planned_cost(const RunInfo& info) {
  const auto found = info.facts.find("cost");
  if (found != info.facts.end()) return name_of(cost_kind(found->second));
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  return name_of(cost_kind(config.is_object() ? config.value("cost", "") : ""));
}

}  // namespace gembench::inline report
