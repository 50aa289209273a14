#include "harness/report/run_config.hpp"

#include <nlohmann/json.hpp>

namespace gembench::inline report {

double stated_non_moe_time(const RunInfo& info) {
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  if (!config.is_object()) return 0;
  const auto found = config.find("non-moe-time");
  return found != config.end() && found->is_number() ? found->get<double>() : 0;
}

std::string planned_cost(const RunInfo& info) {
  if (const auto found = info.facts.find("cost"); found != info.facts.end()) return found->second;
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  return config.is_object() && config.value("cost", "") == "experts" ? "experts" : "tokens";
}

}  // namespace gembench::inline report
