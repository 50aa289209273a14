#include "placement/loads/synthetic_serving.hpp"

#include <cmath>
#include <span>
#include <vector>

#include "placement/loads/draws.hpp"

namespace gembench::inline loads {
namespace {

/// The experts of one layer and their state, advanced step by step.
class ServingLayer {
 public:
  ServingLayer(const SyntheticSpec& spec, const ServingParameters& parameters, int layer)
      : spec_(spec),
        parameters_(parameters),
        random_(fold(fold(spec.seed, 0x5e471), static_cast<std::uint64_t>(layer))),
        popularity_(static_cast<std::size_t>(spec.experts)),
        weight_(popularity_.size()),
        share_(popularity_.size()) {
    for (auto& value : popularity_) value = exponential(parameters.sigma * normal(random_));
    groups_ = draw_groups(random_, spec.experts, parameters.temporal_low, parameters.temporal_high,
                          static_cast<int>(parameters.group_low),
                          static_cast<int>(parameters.group_high));
    on_.resize(static_cast<std::size_t>(groups_.count));
    for (auto& on : on_) on = random_.uniform() < parameters.duty;
  }

  void next_step(std::span<std::int32_t> counts) {
    // The stationary share of steps in which a group is on is its duty.
    const double switch_off = 1 / parameters_.mean_dwell;
    const double switch_on = switch_off * parameters_.duty / (1 - parameters_.duty);
    choose_active();
    draw_counts(weight_, share_, spec_.topk, spec_.tokens, counts, random_);
    for (auto& on : on_) on = on ? random_.uniform() >= switch_off : random_.uniform() < switch_on;
  }

 private:
  /// Sets the weights of the step: 0 for an expert that is off. At least top-k experts are on,
  /// otherwise randomly chosen ones wake up (ours).
  void choose_active() {
    int active = 0;
    for (std::size_t e = 0; e < weight_.size(); ++e) {
      const bool temporal = groups_.of[e] >= 0;
      const bool on = temporal ? on_[static_cast<std::size_t>(groups_.of[e])]
                               : random_.uniform() < parameters_.consistent_duty;
      weight_[e] = on ? popularity_[e] * (temporal ? parameters_.burst : 1.0) : 0.0;
      active += on;
    }
    while (active < spec_.topk) {
      const auto e = random_.below(weight_.size());
      if (weight_[e] > 0) continue;
      weight_[e] = popularity_[e];
      ++active;
    }
  }

  const SyntheticSpec& spec_;
  const ServingParameters& parameters_;
  Random random_;
  std::vector<double> popularity_;
  Groups groups_;
  std::vector<char> on_;  // [group]
  std::vector<double> weight_;
  std::vector<double> share_;
};

}  // namespace

ServingParameters serving_defaults(const SyntheticSpec& spec) {
  ServingParameters parameters;
  // The given sizes are 8, 16, 64 and 128 ("near uniform"); the steps between them are ours.
  if (spec.experts <= 8)
    parameters.sigma = 0.35;
  else if (spec.experts <= 16)
    parameters.sigma = 0.5;
  else if (spec.experts <= 64)
    parameters.sigma = 0.6;
  else
    parameters.sigma = 0.25;
  return parameters;
}

void fill_serving(Trace& trace, const SyntheticSpec& spec, const ServingParameters& parameters) {
  for (int layer = 0; layer < spec.layers; ++layer) {
    ServingLayer state(spec, parameters, layer);
    for (int step = 0; step < spec.steps; ++step) state.next_step(trace.loads(step, layer));
  }
}

}  // namespace gembench::inline loads
