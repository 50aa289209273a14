#pragma once

#include <functional>
#include <string>

#include "harness/cli/option_set.hpp"
#include "harness/cli/options.hpp"

namespace gembench::inline cli {

// Options of several commands, each with its range, choices and exclusions. Options whose
// exclusions differ between commands are returned.

/// A group. Traces have no widths: a scaled model has the loads of the full one.
void model_options(OptionSet& set, ModelOptions& o, bool with_widths);
/// "a,b" and FROM:TO:STEP are for `run` only, which runs one value at a time.
Option& tokens_option(OptionSet& set, LoadOptions& o, const char* help);
Option& preset_option(OptionSet& set, LoadOptions& o);
/// A group; `tokens_help`: of tokens_option().
void routing_options(OptionSet& set, RoutingOptions& o, const char* tokens_help, bool several);
Option& cost_option(OptionSet& set, std::string& cost);
void slot_options(OptionSet& set, SlotOptions& o);
/// --node-cost and --node-costs, refused without --ranks-per-node where `nodes_unknown`.
void node_cost_options(OptionSet& set, NodeOptions& o, std::function<bool()> nodes_unknown);
Option& dispatch_option(OptionSet& set, NodeOptions& o, const char* help);
Option& ranks_per_node_option(OptionSet& set, NodeOptions& o, const char* help);
struct SlowdownHelp {
  const char *slowdown, *variability, *from;
};
void slowdown_options(OptionSet& set, SlowdownOptions& o, const SlowdownHelp& help);
void output_options(OptionSet& set, OutputOptions& o);
Option& format_option(OptionSet& set, std::string& format);
Option& table_or_json_option(OptionSet& set, std::string& format);
/// A file of metrics, replaced each time.
Option& prometheus_option(OptionSet& set, std::string& path);
void quiet_option(OptionSet& set, bool& quiet);

struct ReplanHelp {
  const char *max_moves, *horizon;
};
inline constexpr ReplanHelp kReplanHelp{"experts of a layer that one replan may move",
                                        "only moves that pay within STEPS"};
/// --max-moves and --horizon, each rejected by its condition.
void replan_options(OptionSet& set, ReplanOptions& o, const ReplanHelp& help,
                    const std::function<bool()>& no_moves, const char* no_moves_sentence,
                    const std::function<bool()>& no_horizon, const char* no_horizon_sentence);
/// --expert-bytes and --bandwidth, refused where nothing is moved.
void move_cost_options(OptionSet& set, MoveCostOptions& o, std::function<bool()> nothing_moves,
                       const char* sentence);

}  // namespace gembench::inline cli
