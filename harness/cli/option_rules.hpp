#pragma once

#include <set>
#include <string>

#include "harness/cli/options.hpp"

namespace gembench::inline cli {

/// Refuses (usage error with the remedy) options that exclude each other, and those that would
/// change nothing: what needs another option, and what none of the strategies named takes. `given`:
/// names of the options that differ from their defaults. An option that one of several strategies
/// takes is fine.
void require_effect(const Options& options, const std::set<std::string>& given);

/// "gem, gem+": the strategies that take a planning option such as "replicas".
[[nodiscard]] std::string takers_of(const std::string& option);
/// "eplb, eplb-hier, flashlb": those that fill spare slots with replicas unasked.
[[nodiscard]] std::string fillers();
/// "--spare-slots --replicas": the planning options that a strategy of the table takes.
[[nodiscard]] std::string taken_by(const std::string& strategy);

}  // namespace gembench::inline cli
