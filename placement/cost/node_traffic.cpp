#include "placement/cost/node_traffic.hpp"

#include <algorithm>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/cost/node_targets.hpp"
#include "placement/cost/objective.hpp"

namespace gembench::inline cost {
namespace {

/// What tokens that go to other nodes add up to.
struct Crossing {
  double tokens = 0;
  double price = 0;  // seconds, if a token were a byte

  void add(const Targets& targets, std::size_t target, double going) {
    tokens += going * targets.outside(target);
    price += going * targets.price(target);
  }
};

/// Of one (step, layer): every expert by itself; `absent` is scratch.
void cross_by_counts(Crossing& sum, const Targets& targets, int tokens,
                     std::span<const std::int64_t> slots, int per_rank,
                     std::vector<double>& absent) {
  absent.assign(targets.count(), 1.0);  // chance that a token needs nothing there
  for (std::size_t cell = 0; cell < slots.size(); ++cell)
    absent[targets.of(static_cast<int>(cell) / per_rank)] *=
        1 - static_cast<double>(slots[cell]) / tokens;
  for (std::size_t t = 0; t < absent.size(); ++t) sum.add(targets, t, tokens * (1 - absent[t]));
}

/// Counts by the experts that every token chose; a replica gets a token by its share.
void cross_by_ids(Crossing& sum, const Targets& targets, const Trace& trace, int step, int layer,
                  const Placement& placement, std::span<const std::int64_t> slots,
                  std::vector<double>& absent) {
  struct Share {
    std::size_t target;
    double share;
  };
  std::vector<std::vector<Share>> shares(static_cast<std::size_t>(trace.experts));
  const auto counts = trace.loads(step, layer);
  for (int rank = 0; rank < placement.ranks; ++rank)
    for (int slot = 0; slot < placement.slots; ++slot) {
      const auto e = placement.on_rank(layer, rank)[static_cast<std::size_t>(slot)];
      const auto tokens = slots[static_cast<std::size_t>(rank * placement.slots + slot)];
      if (e < 0 || tokens == 0) continue;
      shares[static_cast<std::size_t>(e)].push_back(
          {targets.of(rank), static_cast<double>(tokens) / counts[static_cast<std::size_t>(e)]});
    }
  absent.assign(targets.count(), 1.0);
  std::vector<std::size_t> needed;
  for (int token = 0; token < trace.tokens_in_step(step); ++token) {
    const auto ids =
        trace.ids(step, token)
            .subspan(static_cast<std::size_t>(layer) * static_cast<std::size_t>(trace.topk),
                     static_cast<std::size_t>(trace.topk));
    needed.clear();
    for (auto e : ids)
      for (const auto& [target, share] : shares[e]) {
        if (absent[target] == 1) needed.push_back(target);
        absent[target] *= 1 - share;
      }
    for (auto target : needed) {
      sum.add(targets, target, 1 - absent[target]);
      absent[target] = 1;
    }
  }
}

}  // namespace

NodeTraffic node_traffic(const Trace& trace, const Placement& placement, const NodeNetwork& network,
                         const SplitSpec& spec) {
  require_same_shape(trace, placement);
  if (!(network.token_bytes > 0))
    throw usage_error("how many bytes a token has is not known; say it to count traffic");
  const TokenSplit split(placement, spec);
  const Targets targets(network, placement.ranks);
  std::vector<std::int64_t> slots(static_cast<std::size_t>(placement.ranks) *
                                  static_cast<std::size_t>(placement.slots));
  std::vector<double> absent;
  Crossing sum;
  for (int step = 0; step < trace.steps; ++step) {
    if (trace.tokens_in_step(step) == 0) continue;
    for (int layer = 0; layer < trace.layers; ++layer) {
      split.slot_loads(trace, step, layer, slots);
      trace.has_ids() ? cross_by_ids(sum, targets, trace, step, layer, placement, slots, absent)
                      : cross_by_counts(sum, targets, trace.tokens_in_step(step), slots,
                                        placement.slots, absent);
    }
  }
  const auto bytes = network.token_bytes / std::max(trace.steps, 1);
  return {sum.tokens * bytes, sum.price * bytes};
}

}  // namespace gembench::inline cost
