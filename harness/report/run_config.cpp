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

bool planned_in_sample(const RunInfo& info) {
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  const auto stated = config.is_object() ? config.find("in-sample") : config.end();
  if (stated != config.end() && *stated == true) return true;
  const auto files = info.facts.find("placement_files");  // see to_text(FileOrigin)
  return files != info.facts.end() && files->second.find("(IN-SAMPLE)") != std::string::npos;
}

}  // namespace gembench::inline report
