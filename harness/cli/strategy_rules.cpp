#include "harness/cli/strategy_rules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "placement/base/error.hpp"
#include "placement/exchange/plan_by_name.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline cli {
namespace {

/// Planning options, and which strategies use them.
struct Taken {
  std::string_view option;
  bool Takes::*by;
};

constexpr Taken kTaken[] = {
    {"spare-slots", &Takes::spare_slots},
    {"replicas", &Takes::replicas},
    {"token-split", &Takes::split},
    {"node-cost", &Takes::node_cost},
    {"node-costs", &Takes::node_cost},
    {"nodes", &Takes::nodes},
    {"groups", &Takes::nodes},
    {"seed", &Takes::seed},
};

/// The strategies of the table that use it.
std::string names_with(bool Takes::*by) {
  std::vector<std::string_view> names;
  for (const Strategy& strategy : strategy_table()) {
    if (strategy.takes.*by) names.push_back(strategy.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Rejects --token-split if nothing can have a replica.
void require_replicas(const OptionSet& set, const std::vector<std::string>& names,
                      const SlotOptions& slots) {
  if (!set.given("token-split") || slots.replicas > 0 || names.empty()) return;
  const auto has_some = [&](const std::string& name) {
    const Takes takes = takes_of(name);
    return slots.spare_slots > 0 ? takes.fills || !takes.replicas : !takes.replicas;
  };
  for (const std::string& name : names) {
    if (takes_of(name).split && has_some(name)) return;  // it fills spare slots, or is a file
  }
  throw usage_error(
      "--token-split needs replicas to share tokens and there are none: add --replicas N, or drop "
      "it");
}

}  // namespace

void require_takers(const OptionSet& set, const std::vector<std::string>& names,
                    const SlotOptions& slots, const std::vector<std::string_view>& anyway) {
  for (const std::string& name : names) require_known_name(name);
  for (const auto& [option, by] : kTaken) {
    if (!set.given(option) || std::ranges::find(anyway, option) != anyway.end()) continue;
    if (names.empty()) {
      throw usage_error(
          fmt::format("--max-moves rebalances --from and plans nothing: drop --{}", option));
    }
    if (std::ranges::any_of(names, [&](const auto& name) { return takes_of(name).*by; })) continue;
    throw usage_error(fmt::format(
        "{}: drop it, or choose a strategy that does ({})",
        names.size() == 1 ? fmt::format("{} takes no --{}", names[0], option)
                          : fmt::format("none of {} takes --{}", fmt::join(names, ", "), option),
        takers_of(std::string(option))));
  }
  require_replicas(set, names, slots);
}

std::string takers_of(const std::string& option) {
  return names_with(std::ranges::find(kTaken, option, &Taken::option)->by);
}

std::string fillers() {
  return names_with(&Takes::fills);
}

std::string taken_by(const std::string& strategy) {
  std::vector<std::string> options;
  for (const auto& [option, by] : kTaken) {
    if (takes_of(strategy).*by) options.push_back(fmt::format("--{}", option));
  }
  return fmt::format("{}", fmt::join(options, " "));
}

}  // namespace gembench::inline cli
