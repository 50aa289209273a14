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

/// Expert loads of a run: planning steps come before measured steps.
struct Workload {
  Trace plan;
  Trace measured;
  int first_measured = 0;  ///< index of the first measured step in the whole trace
  int tokens = 0;          ///< of the largest step
  std::string label;       ///< for the header: the source of the routing, and what is synthetic
  std::string files;       ///< rank 0's, for the header: what placement files were planned on
  std::string notes;       ///< rank 0's, for the header: numbers that may mislead
  TraceDigests digests;    ///< rank 0's, of the whole trace with all layers it has
};

/// Tokens of a step without a trace: --tokens, else the sum of --tokens-per-rank, else 1024.
[[nodiscard]] int tokens_per_step(const LoadOptions& options);
[[nodiscard]] int tokens_per_step(const RoutingOptions& options);

/// "256", or "3-2048" where steps differ: the smallest and the largest.
[[nodiscard]] std::string tokens_of_steps(const Trace& trace);

/// A digest of a workload's loads and ids (64 bits, hexadecimal).
[[nodiscard]] std::string digest(const Trace& trace);

/// Steps to plan on when the user names none.
inline constexpr int kSyntheticPlanSteps = 1024;
inline constexpr int kRouterPlanSteps = 32;

/// Rank 0's workload for `synthetic` and `trace` routing. Usage error when a trace belongs to
/// another model, has too few steps, or disagrees with --tokens. `ranks`: of the run.
[[nodiscard]] Workload make_workload(const SessionOptions& options, const ModelShape& model,
                                     int ranks);

/// Divides a whole trace (planning steps first) into a workload.
[[nodiscard]] Workload split_workload(const Trace& whole, int plan_steps, int steps,
                                      bool in_sample);

/// Slowdown of every rank from --slowdown, --variability or --slowdown-from; all ones without. 1 is
/// the speed of the profile: drawn GPUs may be faster. Usage error if the length of a list is not
/// `ranks`.
[[nodiscard]] std::vector<double> slowdown_of(const SlowdownOptions& options, int ranks,
                                              std::uint64_t seed);
/// [rank] factors by which ranks are slowed down; ranks cannot be made faster, so the fastest has
/// 1.
[[nodiscard]] std::vector<double> emulated_slowdown(const SlowdownOptions& options, int ranks,
                                                    std::uint64_t seed);

/// The cost model of --cost, and the reason as text: "auto: off by ..."; `slots` as in cost_model.
struct CostDecision {
  CostKind kind = CostKind::sum;
  std::string why;
};
[[nodiscard]] CostDecision decide_cost(const std::string& asked, const Profile& profile, int slots);
/// "off by 2.1 % (median) and 5.0 % (worst) on 32 routed loads, 'sum' by 9.0 and 20.1 %"
[[nodiscard]] std::string describe(const CostChoice& choice, CostKind first);
/// That cost model; `slots` = experts that a rank's profile was spread over, if the profile does
/// not say.
[[nodiscard]] CostModel cost_model(const std::string& asked, const Profile& profile, int slots);

/// The rule of a word that --token-split accepts, except the blind ones.
[[nodiscard]] SplitRule split_rule(std::string_view name);

/// The rule of --token-split, with the speeds it uses.
struct TokenRule {
  SplitRule rule = SplitRule::even;
  CostModel cost;
  [[nodiscard]] SplitSpec spec() const { return {rule, &cost}; }  ///< valid as long as this is
};
[[nodiscard]] TokenRule token_rule(const std::string& name, const CostModel& cost);

/// `ranks`: 0 = not known.
[[nodiscard]] SyntheticSpec synthetic_spec(const ModelShape& model, int steps, int tokens,
                                           std::uint64_t seed, int ranks);
/// --preset with --set for a shape.
[[nodiscard]] Trace synthetic_trace(const LoadOptions& options, const SyntheticSpec& spec);

}  // namespace gembench::inline run
