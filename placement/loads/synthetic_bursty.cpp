#include "placement/loads/synthetic_bursty.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "placement/loads/draws.hpp"

namespace gembench::inline loads {
namespace {

/// The task of every step: geometric dwell, then another one, uniformly.
std::vector<std::int32_t> draw_tasks(const SyntheticSpec& spec,
                                     const BurstyParameters& parameters) {
  Random random(fold(spec.seed, 0x7a5c5));
  const auto tasks = static_cast<std::uint64_t>(parameters.tasks);
  std::vector<std::int32_t> of(static_cast<std::size_t>(spec.steps));
  auto task = random.below(tasks);
  for (auto& label : of) {
    label = static_cast<std::int32_t>(task);
    if (tasks > 1 && random.uniform() < 1 / parameters.task_dwell)
      task = (task + 1 + random.below(tasks - 1)) % tasks;
  }
  return of;
}

/// The experts of one layer and their state, advanced step by step.
class BurstyLayer {
 public:
  BurstyLayer(const SyntheticSpec& spec, const BurstyParameters& parameters, int layer)
      : spec_(spec),
        parameters_(parameters),
        random_(fold(fold(spec.seed, 0xb0257), static_cast<std::uint64_t>(layer))),
        drift_(static_cast<std::size_t>(spec.experts)),
        weight_(drift_.size()),
        share_(drift_.size()) {
    draw_popularity();
    groups_ = draw_groups(random_, spec.experts, parameters.group_share, parameters.group_share,
                          static_cast<int>(parameters.group_low),
                          static_cast<int>(parameters.group_high));
    const auto tasks = static_cast<std::size_t>(parameters.tasks);
    const auto count = static_cast<std::size_t>(groups_.count);
    for (std::size_t i = 0; i < tasks * count; ++i)
      duty_.push_back(std::min(
          0.9, parameters.duty * (1 + parameters.task_rate * (2 * random_.uniform() - 1))));
    on_.resize(count);
    for (auto& on : on_) on = random_.uniform() < parameters.duty;
    for (auto& drift : drift_) drift = parameters.drift_sigma * normal(random_);
  }

  void next_step(std::size_t task, std::span<std::int32_t> counts) {
    set_weights(task);
    spread_topk(weight_, spec_.topk, share_);
    draw_counts(counts);
    switch_groups(task);
    const double innovation =
        parameters_.drift_sigma * std::sqrt(1 - parameters_.drift_rho * parameters_.drift_rho);
    for (auto& drift : drift_) drift = parameters_.drift_rho * drift + innovation * normal(random_);
  }

 private:
  /// Zipf over a random order of the experts. No task changes the first few: always hot.
  void draw_popularity() {
    const auto experts = drift_.size();
    std::vector<std::size_t> order(experts);
    std::iota(order.begin(), order.end(), std::size_t{0});
    random_.shuffle(order);
    const auto hot = std::max<std::size_t>(
        1, static_cast<std::size_t>(std::lround(parameters_.hot_share * spec_.experts)));
    for (int task = 0; task < static_cast<int>(parameters_.tasks); ++task) {
      popularity_.resize(popularity_.size() + experts);
      auto* mine = popularity_.data() + popularity_.size() - experts;
      for (std::size_t i = 0; i < experts; ++i) {
        const double zipf = exponential(-parameters_.zipf * logarithm(static_cast<double>(i + 1)));
        mine[order[i]] = i < hot ? zipf * parameters_.hot_factor
                                 : zipf * exponential(parameters_.task_sigma * normal(random_));
      }
    }
  }

  void set_weights(std::size_t task) {
    const auto* popularity = popularity_.data() + task * drift_.size();
    for (std::size_t e = 0; e < drift_.size(); ++e) {
      const bool bursts = groups_.of[e] >= 0 && on_[static_cast<std::size_t>(groups_.of[e])];
      weight_[e] = popularity[e] * (bursts ? parameters_.burst : 1.0) * exponential(drift_[e]);
    }
  }

  /// A run of correlated tokens chooses as one: so many binomial draws fewer, each worth the run.
  /// A uniform offset of less than half a run keeps counts from being multiples of it.
  void draw_counts(std::span<std::int32_t> counts) {
    const auto run = std::min(static_cast<std::int32_t>(parameters_.correlated), spec_.tokens);
    const auto offset = (run - 1) / 2;
    for (std::size_t e = 0; e < counts.size(); ++e) {
      auto count = run * binomial(random_, spec_.tokens / run, share_[e]) +
                   binomial(random_, spec_.tokens % run, share_[e]);
      if (count > offset && offset > 0)
        count +=
            static_cast<std::int32_t>(random_.below(2 * static_cast<std::uint64_t>(offset) + 1)) -
            offset;
      counts[e] = std::min(count, spec_.tokens);
      weight_[e] = share_[e] * (1 - share_[e]);
    }
    repair(counts, weight_, std::int64_t{spec_.tokens} * spec_.topk, spec_.tokens, random_);
  }

  void switch_groups(std::size_t task) {
    const double switch_off = 1 / parameters_.mean_burst;
    for (std::size_t g = 0; g < on_.size(); ++g) {
      const double duty = duty_[task * on_.size() + g];
      on_[g] = on_[g] ? random_.uniform() >= switch_off
                      : random_.uniform() < switch_off * duty / (1 - duty);
    }
  }

  const SyntheticSpec& spec_;
  const BurstyParameters& parameters_;
  Random random_;
  std::vector<double> popularity_;  // [task][expert]
  Groups groups_;
  std::vector<double> duty_;   // [task][group]
  std::vector<char> on_;       // [group]
  std::vector<double> drift_;  // [expert], of the logarithm
  std::vector<double> weight_;
  std::vector<double> share_;
};

}  // namespace

BurstyParameters bursty_defaults(const SyntheticSpec& spec) {
  BurstyParameters parameters;
  parameters.zipf = spec.experts <= 128 ? 0.43 : 0.47;  // calibrated, see there
  // Steps of decoding hold one token of each request: nothing correlates them. 2048 is ours.
  if (spec.tokens < 2048) parameters.correlated = 1;
  return parameters;
}

void fill_bursty(Trace& trace, const SyntheticSpec& spec, const BurstyParameters& parameters) {
  trace.task = draw_tasks(spec, parameters);
  for (int layer = 0; layer < spec.layers; ++layer) {
    BurstyLayer state(spec, parameters, layer);
    for (int step = 0; step < spec.steps; ++step)
      state.next_step(static_cast<std::size_t>(trace.task[static_cast<std::size_t>(step)]),
                      trace.loads(step, layer));
  }
}

}  // namespace gembench::inline loads
