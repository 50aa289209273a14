#include "harness/run/same_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace gembench::inline run {
namespace {

using RankFacts = std::map<std::string, std::vector<std::string>>;

constexpr const char* kProducts = "expert products";

std::optional<RunDifference> difference(const std::string& what, const std::string& earlier,
                                        const std::string& mine) {
  if (earlier == mine) return std::nullopt;
  return RunDifference{what, earlier, mine};
}

std::string products_in(const RankFacts& facts) {
  const auto found = facts.find("expert_products");
  return found == facts.end() || found->second.empty() ? "" : found->second.front();
}

std::string hosts(const RunInfo& info) {
  const auto found = info.rank_facts.find("host");
  std::string all;
  if (found == info.rank_facts.end()) return all;
  for (const std::string& host : found->second) all += (all.empty() ? "" : ",") + host;
  return all;
}

}  // namespace

std::string fact_of(const RunInfo& info, const char* name) {
  const auto found = info.facts.find(name);
  return found == info.facts.end() ? "none" : found->second;
}

std::optional<RunDifference> other_command(const RunInfo& earlier, int ranks,
                                           const std::string& config,
                                           const std::vector<std::string>& ignored) {
  if (auto other = difference("number of ranks", fmt::format("{}", earlier.shape.ranks),
                              fmt::format("{}", ranks))) {
    return other;
  }
  const auto before = nlohmann::ordered_json::parse(earlier.config, nullptr, false);
  const auto now = nlohmann::ordered_json::parse(config, nullptr, false);
  for (const auto& [name, value] : now.items()) {
    if (std::ranges::find(ignored, name) != ignored.end()) continue;
    const bool known = before.is_object() && before.contains(name);
    if (auto other = difference("--" + name, known ? before[name].dump() : "none", value.dump())) {
      return other;
    }
  }
  return std::nullopt;
}

std::optional<RunDifference> other_loads(const RunInfo& earlier, const std::string& trace_digest) {
  return difference("loads", fact_of(earlier, "trace_digest"), trace_digest);
}

std::optional<RunDifference> other_program(const RunInfo& earlier, const RunInfo& mine) {
  return difference("program", fact_of(earlier, "program"), fact_of(mine, "program"));
}

std::optional<RunDifference> other_device(const RunInfo& earlier, const RunInfo& mine) {
  if (auto other = difference("device", fact_of(earlier, "device"), fact_of(mine, "device"))) {
    return other;
  }
  return difference("clock", earlier.clock, mine.clock);
}

std::optional<RunDifference> other_machine(const RunInfo& earlier, const RunInfo& mine) {
  if (auto other = other_program(earlier, mine)) return other;
  return other_device(earlier, mine);
}

std::optional<RunDifference> other_nodes(const RunInfo& earlier, const RunInfo& mine) {
  return difference("nodes", hosts(earlier), hosts(mine));
}

std::string products_of(const RunInfo& info) {
  return products_in(info.rank_facts);
}

std::optional<RunDifference> other_products(const RunInfo& earlier, const RunInfo& mine) {
  return difference(kProducts, products_of(earlier), products_of(mine));
}

std::optional<RunDifference> other_known_products(const RankFacts& earlier, const RankFacts& mine) {
  const std::string then = products_in(earlier), now = products_in(mine);
  if (then.empty() || now.empty()) return std::nullopt;
  return difference(kProducts, then, now);
}

}  // namespace gembench::inline run
