#include "placement/node_traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "placement/error.hpp"
#include "placement/layer_cut.hpp"
#include "placement/objective.hpp"
#include "placement/parallel.hpp"
#include "placement/swap_search.hpp"

namespace gembench {
namespace {

/// Ranks, or nodes where a token goes to a node once: what tokens are sent to.
struct Targets {
  Targets(const NodeNetwork& network, int rank_count)
      : ranks(rank_count),
        each(network.ranks_per_node > 0 ? std::min(network.ranks_per_node, rank_count)
                                        : rank_count),
        once(network.once_a_node) {}

  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(once ? (ranks + each - 1) / each : ranks);
  }
  [[nodiscard]] std::size_t of(int rank) const {
    return static_cast<std::size_t>(once ? rank / each : rank);
  }
  /// Share of all tokens that are on other nodes than the target.
  [[nodiscard]] double outside(std::size_t target) const {
    const auto node = once ? static_cast<int>(target) : static_cast<int>(target) / each;
    return 1 - static_cast<double>(std::min(each, ranks - node * each)) / ranks;
  }

  int ranks, each;
  bool once;
};

/// Tokens of one (step, layer) expected to cross: every expert by itself; `absent` is scratch.
double crossing_by_counts(const Targets& targets, int tokens, std::span<const std::int64_t> slots,
                          int per_rank, std::vector<double>& absent) {
  absent.assign(targets.count(), 1.0);  // chance that a token needs nothing there
  for (std::size_t cell = 0; cell < slots.size(); ++cell)
    absent[targets.of(static_cast<int>(cell) / per_rank)] *=
        1 - static_cast<double>(slots[cell]) / tokens;
  double sum = 0;
  for (std::size_t t = 0; t < absent.size(); ++t) sum += (1 - absent[t]) * targets.outside(t);
  return sum * tokens;
}

/// The same by the experts that every token really chose; a replica gets it by its share.
double crossing_by_ids(const Targets& targets, const Trace& trace, int step, int layer,
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
  double sum = 0;
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
      sum += (1 - absent[target]) * targets.outside(target);
      absent[target] = 1;
    }
  }
  return sum;
}

/// What a layer's replicas add to the traffic, step by step.
class LayerTraffic {
 public:
  LayerTraffic(const LayerCut& cut, const NodeNetwork& network)
      : targets_(network, cut.placement.ranks),
        steps_(static_cast<std::size_t>(cut.steps.steps)),
        seconds_(steps_),
        without_((cut.assigned.size()) * steps_, 1.0),
        absent_(targets_.count() * steps_, 1.0) {
    for (std::size_t t = 0; t < steps_; ++t) {
      const auto tokens = cut.steps.tokens_in_step(static_cast<int>(t));
      seconds_[t] = tokens * network.token_bytes * network.seconds_per_byte;
      const auto row = cut.split.trace.loads(static_cast<int>(t), 0);
      for (std::size_t e = 0; e < row.size(); ++e)  // kept above 0: it is divided by
        without_[e * steps_ + t] =
            std::max(1.0 / 1024, 1 - static_cast<double>(row[e]) / std::max(tokens, 1));
    }
    for (std::size_t e = 0; e < cut.assigned.size(); ++e) put(e, cut.assigned[e]);
  }

  /// Seconds saved by exchanging member x of rank a and member y of rank b.
  [[nodiscard]] double gain(std::size_t x, int a, std::size_t y, int b) const {
    const auto from = targets_.of(a);
    const auto to = targets_.of(b);
    if (from == to) return 0;
    const auto* without_x = without_.data() + x * steps_;
    const auto* without_y = without_.data() + y * steps_;
    const auto* absent_a = absent_.data() + from * steps_;
    const auto* absent_b = absent_.data() + to * steps_;
    const auto outside_a = targets_.outside(from);
    const auto outside_b = targets_.outside(to);
    double sum = 0;
    for (std::size_t t = 0; t < steps_; ++t) {
      const auto ratio = without_y[t] / without_x[t];
      sum += seconds_[t] *
             (outside_a * absent_a[t] * (ratio - 1) + outside_b * absent_b[t] * (1 / ratio - 1));
    }
    return sum;
  }
  void exchange(std::size_t x, int a, std::size_t y, int b) {
    take(x, a);
    take(y, b);
    put(x, b);
    put(y, a);
  }

 private:
  void put(std::size_t e, int rank) {
    auto* absent = absent_.data() + targets_.of(rank) * steps_;
    for (std::size_t t = 0; t < steps_; ++t) absent[t] *= without_[e * steps_ + t];
  }
  void take(std::size_t e, int rank) {
    auto* absent = absent_.data() + targets_.of(rank) * steps_;
    for (std::size_t t = 0; t < steps_; ++t) absent[t] /= without_[e * steps_ + t];
  }

  Targets targets_;
  std::size_t steps_;
  std::vector<double> seconds_;  // [step] that a token of all crossing takes
  std::vector<double> without_;  // [member][step] chance that a token does not need it
  std::vector<double> absent_;   // [target][step] product over its members
};

template <class Units>
Placement settle(const LayerCut& cut, const LayerProblem& problem, const NodeNetwork& network,
                 Isa isa) {
  auto placement = cut.placement;
  SwapSearch<Units> search(problem, cut.assigned, isa);
  LayerTraffic traffic(cut, network);
  const auto least = 1e-9 * search.value();  // a swap must save more than rounding could pretend
  bool changed = true;
  for (int round = 0; changed && round < kNodeRounds; ++round) {
    changed = false;
    for (std::size_t a = 0; a < problem.ranks; ++a)
      for (std::size_t b = a + 1; b < problem.ranks; ++b) {
        const auto gains = search.gains(a, b);
        Swap best{a, 0, b, 0, least};
        for (std::size_t i = 0; i < problem.slots; ++i)
          for (std::size_t j = 0; j < problem.slots; ++j) {
            const auto gain = gains[i * problem.slots + j] +
                              traffic.gain(search.expert(a, i), static_cast<int>(a),
                                           search.expert(b, j), static_cast<int>(b));
            if (gain > best.gain && search.allowed(a, i, b, j)) best = {a, i, b, j, gain};
          }
        if (best.gain <= least) continue;
        const auto x = search.expert(a, best.i);
        const auto y = search.expert(b, best.j);
        exchange(placement, static_cast<int>(a), cut.expert_of(x), static_cast<int>(b),
                 cut.expert_of(y));
        traffic.exchange(x, static_cast<int>(a), y, static_cast<int>(b));
        search.make(best);
        changed = true;
      }
  }
  return placement;
}

}  // namespace

double cross_node_bytes(const Trace& trace, const Placement& placement, const NodeNetwork& network,
                        const SplitSpec& spec) {
  require_same_shape(trace, placement);
  if (!(network.token_bytes > 0))
    throw usage_error("how many bytes a token has is not known; say it to count traffic");
  const TokenSplit split(placement, spec);
  const Targets targets(network, placement.ranks);
  std::vector<std::int64_t> slots(static_cast<std::size_t>(placement.ranks) *
                                  static_cast<std::size_t>(placement.slots));
  std::vector<double> absent;
  double tokens = 0;
  for (int step = 0; step < trace.steps; ++step) {
    if (trace.tokens_in_step(step) == 0) continue;
    for (int layer = 0; layer < trace.layers; ++layer) {
      split.slot_loads(trace.loads(step, layer), layer, slots);
      tokens += trace.has_ids()
                    ? crossing_by_ids(targets, trace, step, layer, placement, slots, absent)
                    : crossing_by_counts(targets, trace.tokens_in_step(step), slots,
                                         placement.slots, absent);
    }
  }
  return tokens * network.token_bytes / std::max(trace.steps, 1);
}

Placement settle_on_nodes(const Placement& placement, const PlanInput& input, int threads,
                          Isa isa) {
  auto result = placement;
  parallel_for(placement.layers, threads, [&](int layer) {
    const LayerCut cut(placement, input.trace, layer);
    const SearchCosts costs(input.cost, cut.split.trace, placement.slots);
    const auto problem = cut.problem(costs);
    const auto found = costs.narrow() ? settle<std::int16_t>(cut, problem, input.network, isa)
                                      : settle<std::int32_t>(cut, problem, input.network, isa);
    for (int rank = 0; rank < placement.ranks; ++rank)
      std::ranges::copy(found.on_rank(0, rank), result.on_rank(layer, rank).begin());
  });
  return result;
}

}  // namespace gembench
