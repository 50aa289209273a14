#pragma once

#include <string>

#include "harness/cli/options.hpp"
#include "moe_layer/model/shape.hpp"
#include "placement/cost/cost_choice.hpp"
#include "placement/cost/token_split.hpp"
#include "placement/loads/planned_steps.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline run {

/// The shape to run: preset, scaled, with the command line's overrides. Usage error when it makes
/// no sense.
[[nodiscard]] ModelShape model_of(const ModelOptions& options);

/// "gpt-oss-20b/4 f32", "gpt-oss-20b(hidden=512,ffn=256) f32": what profiles name as their model.
[[nodiscard]] std::string shape_name(const ModelOptions& options, DType dtype);

/// Expert loads of a run: what is planned on comes before what is measured.
struct Workload {
  Trace plan;
  Trace measured;
  int first_measured = 0;  ///< index of the first measured step in the whole trace
  int tokens = 0;          ///< of the largest step
  std::string label;       ///< for the header: where routing comes from, and what is synthetic
  std::string files;       ///< rank 0's, for the header: where placements' files were planned
  std::string notes;       ///< rank 0's, for the header: what a number may mislead about
  TraceDigests digests;    ///< rank 0's, of the whole trace with all layers it has
};

/// Tokens of a step that no trace gives: --tokens, else the sum of --tokens-per-rank, else 1024.
[[nodiscard]] int tokens_per_step(const LoadOptions& options);
[[nodiscard]] int tokens_per_step(const RoutingOptions& options);

/// "256", or "3-2048" where steps differ: the smallest and the largest.
[[nodiscard]] std::string tokens_of_steps(const Trace& trace);

/// Tells two workloads' loads and ids apart (64 bits, hexadecimal).
[[nodiscard]] std::string digest(const Trace& trace);

/// Steps to plan on when the user names none.
inline constexpr int kSyntheticPlanSteps = 1024;
inline constexpr int kRouterPlanSteps = 32;

/// Rank 0's workload for `synthetic` and `trace` routing. Usage error when a trace belongs to
/// another model, has too few steps, or disagrees with --tokens.
[[nodiscard]] Workload make_workload(const SessionOptions& options, const ModelShape& model);

/// Cuts a whole trace (planning steps first) into a workload.
[[nodiscard]] Workload split_workload(const Trace& whole, int plan_steps, int steps,
                                      bool in_sample);

/// Slowdown of every rank from --slowdown, --variability or --slowdown-from; all ones without. 1 is
/// the speed of the profile: drawn GPUs may be faster. Usage error when a list has another length
/// than `ranks`.
[[nodiscard]] std::vector<double> slowdown_of(const SlowdownOptions& options, int ranks,
                                              std::uint64_t seed);
/// [rank] factors that ranks are slowed down by; none can be made faster: the fastest has 1.
[[nodiscard]] std::vector<double> emulated_slowdown(const SlowdownOptions& options, int ranks,
                                                    std::uint64_t seed);

/// The cost model that --cost names, and why, for people: "auto: off by ..."
struct CostDecision {
  CostKind kind = CostKind::sum;
  std::string why;
};
[[nodiscard]] CostDecision decide_cost(const std::string& asked, const Profile& profile);
/// "off by 2.1 % (median) and 5.0 % (worst) on 32 routed loads, 'sum' by 9.0 and 20.1 %"
[[nodiscard]] std::string describe(const CostChoice& choice, CostKind first);
/// That cost model; `slots` = experts a rank's profile was spread over, where it does not say.
[[nodiscard]] CostModel cost_model(const std::string& asked, const Profile& profile, int slots);

/// What --token-split names, with the speeds it goes by.
struct TokenRule {
  SplitRule rule = SplitRule::even;
  CostModel cost;
  [[nodiscard]] SplitSpec spec() const { return {rule, &cost}; }  ///< valid as long as this is
};
[[nodiscard]] TokenRule token_rule(const std::string& name, const CostModel& cost);

[[nodiscard]] SyntheticSpec synthetic_spec(const ModelShape& model, int steps, int tokens,
                                           std::uint64_t seed);
/// --preset with --set for a shape.
[[nodiscard]] Trace synthetic_trace(const LoadOptions& options, const SyntheticSpec& spec);

}  // namespace gembench::inline run
