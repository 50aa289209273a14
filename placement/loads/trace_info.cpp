#include "placement/loads/trace_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline loads {
namespace {

void require_options(const TraceInfoOptions& options) {
  const auto need = [](bool good, const char* name, double value) {
    if (!good) throw usage_error(fmt::format("{} cannot be {}", name, value));
  };
  const auto share = [](double value) { return value >= 0 && value <= 1; };
  const auto positive = [](double value) { return value >= 0 && std::isfinite(value); };
  need(positive(options.used_above), "used_above", options.used_above);
  need(share(options.consistent_duty), "consistent_duty", options.consistent_duty);
  need(share(options.temporal_duty), "temporal_duty", options.temporal_duty);
  need(positive(options.temporal_burst), "temporal_burst", options.temporal_burst);
  need(options.about >= 1 && std::isfinite(options.about), "about", options.about);
  need(positive(options.fire_above), "fire_above", options.fire_above);
  need(share(options.fire_together), "fire_together", options.fire_together);
  need(options.fire_least >= 1, "fire_least", options.fire_least);
  need(share(options.fire_most), "fire_most", options.fire_most);
  need(options.most_tasks >= 1, "most_tasks", options.most_tasks);
}

std::vector<std::int64_t> sums_of(const Trace& trace, int layer) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(trace.experts), 0);
  for (int step = 0; step < trace.steps; ++step) {
    const auto loads = trace.loads(step, layer);
    for (std::size_t e = 0; e < sums.size(); ++e) sums[e] += loads[e];
  }
  return sums;
}

/// Skew, duty, burst and kind of a layer.
LayerInfo describe(const Trace& trace, int layer, const std::vector<std::int64_t>& sums,
                   const TraceInfoOptions& options) {
  const auto experts = sums.size();
  const auto count = static_cast<double>(experts);
  LayerInfo info;
  std::vector<int> used(experts, 0);
  std::vector<double> over_mean(experts, 0.0);  // sum over the steps in which it is used
  double skews = 0;
  for (int step = 0; step < trace.steps; ++step) {
    const auto loads = trace.loads(step, layer);
    const auto total = std::accumulate(loads.begin(), loads.end(), std::int64_t{0});
    const double mean = static_cast<double>(total) / count;
    double skew = 1;
    if (total > 0) skew = *std::max_element(loads.begin(), loads.end()) / mean;
    skews += skew;
    info.largest_step_skew = std::max(info.largest_step_skew, skew);
    for (std::size_t e = 0; e < experts; ++e) {
      if (!(loads[e] > options.used_above * mean)) continue;
      ++used[e];
      over_mean[e] += loads[e] / mean;
    }
  }
  info.step_skew = skews / trace.steps;
  const auto total = std::accumulate(sums.begin(), sums.end(), std::int64_t{0});
  if (total > 0)
    info.skew = static_cast<double>(*std::max_element(sums.begin(), sums.end())) * count /
                static_cast<double>(total);
  for (std::size_t e = 0; e < experts; ++e) {
    const double duty = static_cast<double>(used[e]) / trace.steps;
    const double burst = used[e] > 0 ? over_mean[e] / used[e] : 0;
    auto kind = ExpertKind::other;
    if (duty >= options.consistent_duty)
      kind = ExpertKind::consistent;
    else if (used[e] > 0 && duty <= options.temporal_duty * options.about &&
             burst >= options.temporal_burst / options.about)
      kind = ExpertKind::temporal;
    info.duty.push_back(duty);
    info.burst.push_back(burst);
    info.kind.push_back(kind);
  }
  return info;
}

/// One bit per (expert, step): does it fire. Rows of `words` 64-bit words.
struct Firing {
  std::size_t words = 0;
  std::vector<std::uint64_t> bits;
  std::vector<std::int64_t> steps;  ///< [expert] how often
};

Firing firing_of(const Trace& trace, int layer, const std::vector<std::int64_t>& sums,
                 const TraceInfoOptions& options) {
  Firing firing;
  firing.words = (static_cast<std::size_t>(trace.steps) + 63) / 64;
  firing.bits.resize(
      checked_product({trace.experts, static_cast<std::int64_t>(firing.words)}, "the trace"));
  firing.steps.resize(sums.size());
  for (int step = 0; step < trace.steps; ++step) {
    const auto loads = trace.loads(step, layer);
    const auto at = static_cast<std::size_t>(step);
    for (std::size_t e = 0; e < sums.size(); ++e) {
      const double mean = static_cast<double>(sums[e]) / trace.steps;
      if (!(loads[e] > options.fire_above * mean)) continue;
      firing.bits[e * firing.words + at / 64] |= std::uint64_t{1} << (at % 64);
      ++firing.steps[e];
    }
  }
  return firing;
}

bool fire_together(const Firing& firing, std::size_t a, std::size_t b, double share) {
  // Even if all steps of the rarer one are common the index may be too small.
  const auto few = static_cast<double>(std::min(firing.steps[a], firing.steps[b]));
  const auto many = static_cast<double>(std::max(firing.steps[a], firing.steps[b]));
  if (few < share * many) return false;
  std::int64_t both = 0;
  for (std::size_t w = 0; w < firing.words; ++w)
    both += std::popcount(firing.bits[a * firing.words + w] & firing.bits[b * firing.words + w]);
  const auto either = firing.steps[a] + firing.steps[b] - both;
  return both > 0 && static_cast<double>(both) >= share * static_cast<double>(either);
}

std::vector<std::vector<int>> groups_of(const Firing& firing, int steps,
                                        const TraceInfoOptions& options) {
  std::vector<std::size_t> bursting;
  for (std::size_t e = 0; e < firing.steps.size(); ++e)
    if (firing.steps[e] >= options.fire_least &&
        static_cast<double>(firing.steps[e]) <= options.fire_most * steps)
      bursting.push_back(e);
  // Disjoint sets; the root is the smallest expert.
  std::vector<std::size_t> parent(firing.steps.size());
  std::iota(parent.begin(), parent.end(), std::size_t{0});
  const auto root = [&](std::size_t e) {
    while (parent[e] != e) e = parent[e] = parent[parent[e]];
    return e;
  };
  for (std::size_t i = 0; i < bursting.size(); ++i)
    for (std::size_t j = i + 1; j < bursting.size(); ++j) {
      const auto a = root(bursting[i]);
      const auto b = root(bursting[j]);
      if (a == b || !fire_together(firing, bursting[i], bursting[j], options.fire_together))
        continue;
      parent[std::max(a, b)] = std::min(a, b);
    }
  std::map<std::size_t, std::vector<int>> members;
  for (const auto e : bursting) members[root(e)].push_back(static_cast<int>(e));
  std::vector<std::vector<int>> groups;
  for (auto& [first, group] : members)
    if (group.size() > 1) groups.push_back(std::move(group));
  return groups;
}

/// [layer][expert] tokens over the steps for which `in` says so.
template <class In>
std::vector<double> part_sums(const Trace& trace, In in) {
  std::vector<double> sums(
      static_cast<std::size_t>(trace.layers) * static_cast<std::size_t>(trace.experts), 0.0);
  for (int step = 0; step < trace.steps; ++step) {
    if (!in(step)) continue;
    const auto* loads = trace.loads(step, 0).data();
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += loads[i];
  }
  return sums;
}

double correlation(std::span<const double> a, double sum_a, std::span<const double> b,
                   double sum_b) {
  const auto count = static_cast<double>(a.size());
  double aa = 0;
  double bb = 0;
  double ab = 0;
  for (std::size_t e = 0; e < a.size(); ++e) {
    const double x = a[e] / sum_a - 1 / count;
    const double y = b[e] / sum_b - 1 / count;
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  if (aa > 0 && bb > 0) return ab / std::sqrt(aa * bb);
  return aa == bb ? 1 : 0;  // equal loads have no correlation: either identical or not
}

/// None when a layer has no load in one of the parts.
std::optional<LoadDrift> drift_between(const Trace& trace, const std::vector<double>& from,
                                       const std::vector<double>& to) {
  const auto experts = static_cast<std::size_t>(trace.experts);
  LoadDrift drift;
  drift.correlation = 0;
  for (int layer = 0; layer < trace.layers; ++layer) {
    const auto a = std::span(from).subspan(static_cast<std::size_t>(layer) * experts, experts);
    const auto b = std::span(to).subspan(static_cast<std::size_t>(layer) * experts, experts);
    const double sum_a = std::accumulate(a.begin(), a.end(), 0.0);
    const double sum_b = std::accumulate(b.begin(), b.end(), 0.0);
    if (!(sum_a > 0 && sum_b > 0)) return std::nullopt;
    double variation = 0;
    for (std::size_t e = 0; e < experts; ++e)
      variation += std::abs(a[e] / sum_a - b[e] / sum_b) / 2;
    drift.correlation += correlation(a, sum_a, b, sum_b) / trace.layers;
    drift.variation += variation / trace.layers;
    if (variation <= drift.largest_variation) continue;
    drift.largest_variation = variation;
    drift.layer = layer;
  }
  return drift;
}

std::vector<LoadDrift> drift_between_tasks(const Trace& trace, int most_tasks) {
  std::map<std::int32_t, int> steps_of;
  for (auto label : trace.task) ++steps_of[label];
  std::vector<std::pair<int, std::int32_t>> by_steps;  // negative count, label
  for (const auto& [label, steps] : steps_of) by_steps.emplace_back(-steps, label);
  std::sort(by_steps.begin(), by_steps.end());
  if (by_steps.size() > static_cast<std::size_t>(most_tasks))
    by_steps.resize(static_cast<std::size_t>(most_tasks));
  std::map<std::int32_t, std::vector<double>> sums;
  for (const auto& [steps, label] : by_steps)
    sums[label] = part_sums(trace, [&, wanted = label](int step) {
      return trace.task[static_cast<std::size_t>(step)] == wanted;
    });
  std::vector<LoadDrift> drifts;
  for (auto a = sums.begin(); a != sums.end(); ++a)
    for (auto b = std::next(a); b != sums.end(); ++b) {
      auto drift = drift_between(trace, a->second, b->second);
      if (!drift) continue;
      drift->from = a->first;
      drift->to = b->first;
      drifts.push_back(*drift);
    }
  return drifts;
}

void summarise(TraceInfo& info, int experts) {
  const auto layers = static_cast<double>(info.layers.size());
  const double all = layers * experts;
  int temporal = 0;
  info.skew = info.step_skew = 0;
  for (const auto& layer : info.layers) {
    info.skew += layer.skew / layers;
    info.step_skew += layer.step_skew / layers;
    info.largest_step_skew = std::max(info.largest_step_skew, layer.largest_step_skew);
    for (std::size_t e = 0; e < layer.kind.size(); ++e) {
      info.consistent += (layer.kind[e] == ExpertKind::consistent) / all;
      if (layer.kind[e] != ExpertKind::temporal) continue;
      ++temporal;
      info.temporal_duty += layer.duty[e];
      info.temporal_burst += layer.burst[e];
    }
    info.groups += static_cast<int>(layer.groups.size());
    for (const auto& group : layer.groups) info.grouped += static_cast<double>(group.size()) / all;
  }
  info.temporal = temporal / all;
  if (temporal == 0) return;
  info.temporal_duty /= temporal;
  info.temporal_burst /= temporal;
}

}  // namespace

TraceInfo trace_info(const Trace& trace, const TraceInfoOptions& options) {
  require_options(options);
  validate(trace);
  TraceInfo info;
  for (int layer = 0; layer < trace.layers; ++layer) {
    const auto sums = sums_of(trace, layer);
    info.layers.push_back(describe(trace, layer, sums, options));
    info.layers.back().groups =
        groups_of(firing_of(trace, layer, sums, options), trace.steps, options);
  }
  summarise(info, trace.experts);
  if (trace.steps > 1) {
    const int half = trace.steps / 2;
    info.halves = drift_between(trace, part_sums(trace, [&](int step) { return step < half; }),
                                part_sums(trace, [&](int step) { return step >= half; }));
    info.chance = drift_between(trace, part_sums(trace, [](int step) { return step % 2 == 0; }),
                                part_sums(trace, [](int step) { return step % 2 == 1; }));
    for (auto* drift : {&info.halves, &info.chance})
      if (*drift) (*drift)->to = 1;
  }
  info.power_law = fit_power_law(trace);
  info.tasks = drift_between_tasks(trace, options.most_tasks);
  return info;
}

}  // namespace gembench::inline loads
