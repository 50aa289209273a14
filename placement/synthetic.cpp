#include "placement/synthetic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "placement/checked.hpp"
#include "placement/random.hpp"

namespace gembench {
namespace {

// Second-hand figures of GEM (arXiv:2605.19945).
constexpr double kDuty = 0.17;            // share of steps in which a temporal expert is used
constexpr double kBurst = 3.0;            // its tokens when on, over what it would get as usual
constexpr double kConsistentDuty = 0.85;  // share of steps in which any other expert is used
// Ours.
constexpr double kTemporalLow = 0.15;   // share of a layer's experts that are temporal: uniform
constexpr double kTemporalHigh = 0.25;  // between these two
constexpr double kMeanDwell = 6.0;      // steps a group stays on, geometric: "several steps"

/// Sum of twelve uniforms (Irwin-Hall), mean 0, variance 1. Basic arithmetic only: libm's functions
/// differ in the last bit between machines, and a trace must not. Tails end at 6, which is enough.
double normal(Random& random) {
  std::int64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    const auto bits = random.next();
    for (int part = 0; part < 64; part += 16)
      sum += static_cast<std::int64_t>((bits >> part) & 0xffff);
  }
  return (static_cast<double>(sum) + 6.0) / 65536.0 - 6.0;
}

double power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}

/// exp for |x| < 10 from basic arithmetic, for the same reason.
double exponential(double x) {
  const double y = x / 64;
  double term = 1;
  double sum = 1;
  for (int i = 1; i <= 12; ++i) {
    term *= y / i;
    sum += term;
  }
  return power(sum, 64);
}

/// Binomial(n, p): inversion while the rarer outcome is expected less than 12 times, else a rounded
/// normal of the same mean and variance (ours; the repair afterwards is coarser than the error).
std::int32_t binomial(Random& random, std::int32_t n, double p) {
  if (p <= 0) return 0;
  if (p >= 1) return n;
  if (p > 0.5) return n - binomial(random, n, 1 - p);
  const double mean = n * p;
  if (mean >= 12) {
    const double drawn = std::floor(mean + std::sqrt(mean * (1 - p)) * normal(random) + 0.5);
    return static_cast<std::int32_t>(std::clamp(drawn, 0.0, static_cast<double>(n)));
  }
  double left = random.uniform();
  double chance = power(1 - p, n);
  std::int32_t k = 0;
  while (left >= chance && k < n) {
    left -= chance;
    chance *= (static_cast<double>(n - k) / (k + 1)) * (p / (1 - p));
    ++k;
  }
  return k;
}

/// Lognormal sigma of popularity by number of experts; the steps between the given sizes are ours.
double popularity_sigma(int experts) {
  if (experts <= 8) return 0.35;
  if (experts <= 16) return 0.5;
  if (experts <= 64) return 0.6;
  return 0.25;
}

/// Brings the sum of `counts` to `target` with 0 <= count <= limit. The difference is spread in
/// proportion to `weight` by systematic sampling (unbiased, no rejection); what clamping leaves
/// over is spread again over the rest, and at last one by one over whoever has room.
void repair(std::span<std::int32_t> counts, std::vector<double> weight, std::int64_t target,
            std::int32_t limit, Random& random) {
  auto missing = target - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (int round = 0; round < 4 && missing != 0; ++round) {
    const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
    if (!(total > 0)) break;
    const double sign = missing > 0 ? 1 : -1;
    const double scale = std::abs(static_cast<double>(missing)) / total;
    double sum = 0;
    double given = 0;
    const double offset = random.uniform();
    for (std::size_t e = 0; e < counts.size(); ++e) {
      sum += weight[e];
      const double upto = std::floor(sum * scale + offset);
      const auto wanted = counts[e] + static_cast<std::int64_t>(sign * (upto - given));
      given = upto;
      const auto got = std::clamp<std::int64_t>(wanted, 0, limit);
      if (got != wanted) weight[e] = 0;
      missing -= got - counts[e];
      counts[e] = static_cast<std::int32_t>(got);
    }
  }
  const std::int32_t one = missing > 0 ? 1 : -1;
  for (auto e = random.below(counts.size()); missing != 0; e = (e + 1) % counts.size()) {
    if (one > 0 ? counts[e] >= limit : counts[e] <= 0) continue;
    counts[e] += one;
    missing -= one;
  }
}

/// The experts of one layer and their state, advanced step by step.
class ServingLayer {
 public:
  ServingLayer(const SyntheticSpec& spec, int layer)
      : spec_(spec),
        random_(fold(fold(spec.seed, 0x5e471), static_cast<std::uint64_t>(layer))),
        popularity_(static_cast<std::size_t>(spec.experts)),
        group_(popularity_.size(), -1),
        weight_(popularity_.size()),
        share_(popularity_.size()),
        variance_(popularity_.size()) {
    const double sigma = popularity_sigma(spec.experts);
    for (auto& value : popularity_) value = exponential(sigma * normal(random_));
    choose_groups();
    for (std::size_t g = 0; g < on_.size(); ++g) on_[g] = random_.uniform() < kDuty;
  }

  void next_step(std::span<std::int32_t> counts) {
    constexpr double kSwitchOff = 1 / kMeanDwell;
    constexpr double kSwitchOn = kSwitchOff * kDuty / (1 - kDuty);  // stationary share is kDuty
    choose_active();
    spread_topk();
    for (std::size_t e = 0; e < counts.size(); ++e) {
      counts[e] = binomial(random_, spec_.tokens, share_[e]);
      variance_[e] = share_[e] * (1 - share_[e]);
    }
    repair(counts, variance_, std::int64_t{spec_.tokens} * spec_.topk, spec_.tokens, random_);
    for (std::size_t g = 0; g < on_.size(); ++g)
      on_[g] = on_[g] ? random_.uniform() >= kSwitchOff : random_.uniform() < kSwitchOn;
  }

 private:
  /// Draws which experts are temporal and deals them into groups of 2 to 4.
  void choose_groups() {
    std::vector<std::size_t> order(popularity_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    random_.shuffle(order);
    const double share = kTemporalLow + (kTemporalHigh - kTemporalLow) * random_.uniform();
    const auto wanted = static_cast<std::size_t>(share * static_cast<double>(order.size()) + 0.5);
    for (std::size_t at = 0; at + 1 < wanted;) {
      auto size = std::min<std::size_t>(2 + random_.below(3), wanted - at);
      if (wanted - at - size == 1) size += size < 4 ? 1 : -1;  // nobody is left alone
      for (const auto end = at + size; at < end; ++at)
        group_[order[at]] = static_cast<int>(on_.size());
      on_.push_back(0);
    }
  }

  /// Sets the weights of the step: 0 for an expert that is off. At least top-k experts are on,
  /// otherwise randomly chosen ones wake up (ours).
  void choose_active() {
    int active = 0;
    for (std::size_t e = 0; e < weight_.size(); ++e) {
      const bool temporal = group_[e] >= 0;
      const bool on =
          temporal ? on_[static_cast<std::size_t>(group_[e])] : random_.uniform() < kConsistentDuty;
      weight_[e] = on ? popularity_[e] * (temporal ? kBurst : 1.0) : 0.0;
      active += on;
    }
    while (active < spec_.topk) {
      const auto e = random_.below(weight_.size());
      if (weight_[e] > 0) continue;
      weight_[e] = popularity_[e];
      ++active;
    }
  }

  /// Chance of a token to choose each expert: proportional to weight, at most 1, sum = top-k.
  void spread_topk() {
    double left = spec_.topk;
    std::fill(share_.begin(), share_.end(), 0.0);
    for (bool capped = true; capped;) {
      capped = false;
      const double total = std::accumulate(weight_.begin(), weight_.end(), 0.0);
      if (!(total > 0)) break;
      const double scale = left / total;
      for (std::size_t e = 0; e < weight_.size(); ++e) {
        if (weight_[e] <= 0) continue;
        share_[e] = weight_[e] * scale;
        if (share_[e] < 1) continue;
        share_[e] = 1;
        weight_[e] = 0;
        left -= 1;
        capped = true;
      }
    }
  }

  const SyntheticSpec& spec_;
  Random random_;
  std::vector<double> popularity_;
  std::vector<int> group_;  // of a temporal expert, -1 = consistent
  std::vector<char> on_;    // [group]
  std::vector<double> weight_;
  std::vector<double> share_;
  std::vector<double> variance_;
};

void fill_serving(Trace& trace, const SyntheticSpec& spec) {
  for (int layer = 0; layer < spec.layers; ++layer) {
    ServingLayer state(spec, layer);
    for (int step = 0; step < spec.steps; ++step) state.next_step(trace.loads(step, layer));
  }
}

/// Deals tokens * topk round and round, going on in the next step where the last one ended, so
/// that over the steps no expert is favoured either. Layers start at different experts.
void fill_even(Trace& trace, const SyntheticSpec& spec) {
  const auto total = std::int64_t{spec.tokens} * spec.topk;
  const auto every = static_cast<std::int32_t>(total / spec.experts);
  const auto extra = total % spec.experts;
  for (int step = 0; step < spec.steps; ++step)
    for (int layer = 0; layer < spec.layers; ++layer) {
      auto counts = trace.loads(step, layer);
      std::fill(counts.begin(), counts.end(), every);
      const auto first = layer + step * extra;
      for (std::int64_t i = 0; i < extra; ++i)
        ++counts[static_cast<std::size_t>((first + i) % spec.experts)];
    }
}

struct Preset {
  std::string_view name;
  void (*fill)(Trace&, const SyntheticSpec&);
  std::string parameters;
};

std::vector<Preset> presets(const SyntheticSpec& spec) {
  return {
      {"serving", fill_serving,
       fmt::format("lognormal sigma {}, temporal {}-{} in groups of 2-4, duty {}, x{}, mean dwell "
                   "{}, others active {}",
                   popularity_sigma(spec.experts), kTemporalLow, kTemporalHigh, kDuty, kBurst,
                   kMeanDwell, kConsistentDuty)},
      {"even", fill_even, "equal counts, rotating"}};
}

}  // namespace

Trace make_trace(std::string_view preset, const SyntheticSpec& spec) {
  if (spec.steps < 1 || spec.layers < 1 || spec.experts < 1 || spec.topk < 1 || spec.tokens < 1)
    throw usage_error(
        "steps, layers, experts, top-k and tokens of a synthetic trace must be at "
        "least 1");
  if (spec.experts > kMaxExperts)
    throw usage_error(
        fmt::format("{} experts, more than the {} accepted", spec.experts, kMaxExperts));
  if (spec.topk > spec.experts)
    throw usage_error(
        fmt::format("top-k {} with {} experts; give a smaller top-k", spec.topk, spec.experts));
  const auto cells =
      checked_product({spec.steps, spec.layers, spec.experts}, "the synthetic trace");
  std::string names;
  for (const auto& candidate : presets(spec)) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", candidate.name);
    if (candidate.name != preset) continue;
    Trace trace;
    trace.steps = spec.steps;
    trace.layers = spec.layers;
    trace.experts = spec.experts;
    trace.topk = spec.topk;
    trace.source = fmt::format(
        "synthetic {}: {} steps, {} layers, {} experts, top-k {}, {} tokens, "
        "{}, seed {}",
        preset, spec.steps, spec.layers, spec.experts, spec.topk, spec.tokens, candidate.parameters,
        spec.seed);
    trace.tokens.resize(cells);
    candidate.fill(trace, spec);
    return trace;
  }
  throw usage_error(fmt::format("there is no preset '{}'; choose one of {}", preset, names));
}

}  // namespace gembench
