#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

// Planning options that only some strategies use, by the rows of the strategy table: their texts in
// help and `list`, and the rejection of options that would change nothing.

/// "gem, gem+": the strategies that use a planning option such as "replicas".
[[nodiscard]] std::string takers_of(const std::string& option);
/// "eplb, eplb-hier, flashlb": the strategies that fill spare slots with replicas by default.
[[nodiscard]] std::string fillers();
/// "--spare-slots --replicas": the planning options that a strategy of the table uses.
[[nodiscard]] std::string taken_by(const std::string& strategy);

/// Usage error for an unknown name among `strategies`, for a planning option that none of them uses
/// (one of several is enough) unless it has an effect `anyway`, and for --token-split if nothing
/// can have a replica. No strategies: a placement is rebalanced.
void require_takers(const OptionSet& set, const std::vector<std::string>& strategies,
                    const SlotOptions& slots, const std::vector<std::string_view>& anyway);

}  // namespace gembench::inline cli
