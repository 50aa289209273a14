#include "harness/run/injected_drift.hpp"

#include <algorithm>
#include <numeric>

#include "placement/base/index.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline run {
namespace {

constexpr std::uint64_t kTaskStream = 0x7461736b;

/// [old expert] new expert.
std::vector<std::uint16_t> exchanged(int experts, std::uint64_t key) {
  std::vector<std::uint16_t> to(sz(experts));
  std::iota(to.begin(), to.end(), std::uint16_t{0});
  Random(key).shuffle(to);
  return to;
}

}  // namespace

std::vector<double> slowdown_at(const std::vector<double>& slowdown,
                                const std::vector<InjectedDrift>& drifts, int step) {
  std::vector<double> now = slowdown;
  for (const InjectedDrift& drift : drifts) {
    if (drift.kind == InjectedDrift::Kind::slow && step >= drift.step) {
      std::rotate(now.rbegin(), now.rbegin() + 1, now.rend());
    }
  }
  return now;
}

void change_tasks(Trace& measured, const std::vector<InjectedDrift>& drifts, std::uint64_t seed) {
  const std::size_t layers = sz(measured.layers), experts = sz(measured.experts);
  const std::size_t k = sz(measured.topk);
  std::uint64_t which = 0;
  for (const InjectedDrift& drift : drifts) {
    ++which;
    if (drift.kind != InjectedDrift::Kind::task) continue;
    measured.sources = 0;  // sources are known only for the recorded loads
    measured.source_tokens.clear();
    std::vector<std::vector<std::uint16_t>> to;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      to.push_back(exchanged(measured.experts, fold(fold(fold(seed, kTaskStream), which), layer)));
    }
    std::vector<std::int32_t> row(experts);
    for (int step = drift.step; step < measured.steps; ++step) {
      for (std::size_t layer = 0; layer < layers; ++layer) {
        auto* loads = &measured.tokens[(sz(step) * layers + layer) * experts];
        for (std::size_t e = 0; e < experts; ++e) row[to[layer][e]] = loads[e];
        std::copy(row.begin(), row.end(), loads);
      }
    }
    if (!measured.has_ids()) continue;
    const std::size_t per_step = measured.topk_ids.size() / sz(measured.steps);
    for (std::size_t i = sz(drift.step) * per_step; i < measured.topk_ids.size(); ++i) {
      auto& id = measured.topk_ids[i];  // [step][token][layer][k]
      id = to[i / k % layers][id];
    }
  }
}

}  // namespace gembench::inline run
