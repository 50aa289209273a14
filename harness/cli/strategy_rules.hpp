#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

// Planning options that not every strategy takes, by the rows of the strategy table: what help and
// `list` say of them, and which are refused since they would change nothing.

/// "gem, gem+": the strategies that take a planning option such as "replicas".
[[nodiscard]] std::string takers_of(const std::string& option);
/// "eplb, eplb-hier, flashlb": those that fill spare slots with replicas unasked.
[[nodiscard]] std::string fillers();
/// "--spare-slots --replicas": the planning options that a strategy of the table takes.
[[nodiscard]] std::string taken_by(const std::string& strategy);

/// Usage error for a name among `strategies` that there is not, for a planning option that none of
/// them takes (one of several is enough), unless it does something `anyway`, and for --token-split
/// where nothing can have a replica. No strategies: a placement is rebalanced.
void require_takers(const OptionSet& set, const std::vector<std::string>& strategies,
                    const SlotOptions& slots, const std::vector<std::string_view>& anyway);

}  // namespace gembench::inline cli
