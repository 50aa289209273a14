#include "placement/strategies/node_settling.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "placement/base/parallel.hpp"
#include "placement/cost/node_network.hpp"
#include "placement/cost/node_targets.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/swap_descent.hpp"
#include "placement/strategies/layer_cut.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {
namespace {

constexpr std::int64_t kSampledTokens = 1 << 14;  // a layer; ours

/// What a layer's replicas add to the traffic step by step, from counts.
class CountTraffic {
 public:
  CountTraffic(const LayerCut& cut, const NodeNetwork& network)
      : targets_(network, cut.placement.ranks),
        steps_(static_cast<std::size_t>(cut.steps.steps)),
        bytes_(steps_),
        without_((cut.assigned.size()) * steps_, 1.0),
        on_(targets_.count()),
        absent_(targets_.count() * steps_, 1.0) {
    for (std::size_t t = 0; t < steps_; ++t) {
      const auto tokens = cut.steps.tokens_in_step(static_cast<int>(t));
      bytes_[t] = tokens * network.token_bytes;
      const auto row = cut.split.trace.loads(static_cast<int>(t), 0);
      for (std::size_t e = 0; e < row.size(); ++e)  // kept above 0: it is divided by
        without_[e * steps_ + t] =
            std::max(1.0 / 1024, 1 - static_cast<double>(row[e]) / std::max(tokens, 1));
    }
    for (std::size_t e = 0; e < cut.assigned.size(); ++e)
      on_[targets_.of(cut.assigned[e])].push_back(e);
    for (std::size_t target = 0; target < on_.size(); ++target) count(target);
  }

  /// Seconds that all bytes take.
  [[nodiscard]] double value() const {
    double sum = 0;
    for (std::size_t target = 0; target < on_.size(); ++target) {
      const auto price = targets_.price(target);
      for (std::size_t t = 0; t < steps_; ++t)
        sum += price * bytes_[t] * (1 - absent_[target * steps_ + t]);
    }
    return sum;
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
    const auto price_a = targets_.price(from);
    const auto price_b = targets_.price(to);
    double sum = 0;
    for (std::size_t t = 0; t < steps_; ++t) {
      const auto ratio = without_y[t] / without_x[t];
      sum += bytes_[t] *
             (price_a * absent_a[t] * (ratio - 1) + price_b * absent_b[t] * (1 / ratio - 1));
    }
    return sum;
  }
  void exchange(std::size_t x, int a, std::size_t y, int b) {
    const auto from = targets_.of(a);
    const auto to = targets_.of(b);
    if (from == to) return;
    std::ranges::replace(on_[from], x, y);
    std::ranges::replace(on_[to], y, x);
    count(from);
    count(to);
  }

 private:
  /// Recomputed from all members: repeated multiplication and division drifts.
  void count(std::size_t target) {
    std::ranges::sort(on_[target]);
    auto* absent = absent_.data() + target * steps_;
    std::fill_n(absent, steps_, 1.0);
    for (auto e : on_[target])
      for (std::size_t t = 0; t < steps_; ++t) absent[t] *= without_[e * steps_ + t];
  }

  Targets targets_;
  std::size_t steps_;
  std::vector<double> bytes_;                 // [step] of all tokens, sent to one target
  std::vector<double> without_;               // [member][step] chance that a token does not need it
  std::vector<std::vector<std::size_t>> on_;  // [target] its members, ascending
  std::vector<double> absent_;                // [target][step] product over its members
};

/// Traffic from the experts that tokens chose: a sample of the tokens of all steps.
class TokenTraffic {
 public:
  TokenTraffic(const LayerCut& cut, const NodeNetwork& network, const Trace& trace, int layer)
      : targets_(network, cut.placement.ranks), tokens_of_(cut.assigned.size()) {
    std::vector<std::vector<std::uint32_t>> replicas(static_cast<std::size_t>(trace.experts));
    for (std::size_t r = 0; r < cut.split.expert.size(); ++r)
      replicas[static_cast<std::size_t>(cut.split.expert[r])].push_back(
          static_cast<std::uint32_t>(r));
    const auto each = std::int64_t{trace.tokens_in_step(0)};  // as many in every step
    const auto all = each * trace.steps;
    sampled_ = static_cast<std::size_t>(std::min(all, kSampledTokens));
    for (std::size_t i = 0; i < sampled_; ++i) {
      const auto token = all * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(sampled_);
      const auto ids =
          trace.ids(static_cast<int>(token / each), static_cast<int>(token % each))
              .subspan(static_cast<std::size_t>(layer) * static_cast<std::size_t>(trace.topk),
                       static_cast<std::size_t>(trace.topk));
      for (auto e : ids)  // replicas alternate
        tokens_of_[replicas[e][i % replicas[e].size()]].push_back(static_cast<std::uint32_t>(i));
    }
    bytes_ = network.token_bytes * static_cast<double>(all) / static_cast<double>(sampled_);
    needs_.resize(targets_.count() * sampled_);
    sent_.resize(targets_.count());
    for (std::size_t e = 0; e < cut.assigned.size(); ++e) add(e, cut.assigned[e], 1);
  }

  /// Seconds that all bytes take.
  [[nodiscard]] double value() const {
    double sum = 0;
    for (std::size_t target = 0; target < sent_.size(); ++target)
      sum += targets_.price(target) * bytes_ * static_cast<double>(sent_[target]);
    return sum;
  }
  /// Seconds saved by exchanging member x of rank a and member y of rank b.
  [[nodiscard]] double gain(std::size_t x, int a, std::size_t y, int b) const {
    const auto from = targets_.of(a);
    const auto to = targets_.of(b);
    if (from == to) return 0;
    const auto leave_a = left_by(tokens_of_[x], tokens_of_[y], from, to);
    const auto leave_b = left_by(tokens_of_[y], tokens_of_[x], to, from);
    return bytes_ * (targets_.price(from) * static_cast<double>(leave_a.gone - leave_b.come) +
                     targets_.price(to) * static_cast<double>(leave_b.gone - leave_a.come));
  }
  void exchange(std::size_t x, int a, std::size_t y, int b) {
    add(x, a, -1);
    add(y, b, -1);
    add(x, b, 1);
    add(y, a, 1);
  }

 private:
  struct Change {
    std::int64_t gone = 0, come = 0;  // tokens that no longer go to `from`; that now go to `to`
  };
  /// For the tokens that need the expert that moves and not the one that replaces it.
  [[nodiscard]] Change left_by(const std::vector<std::uint32_t>& moving,
                               const std::vector<std::uint32_t>& coming, std::size_t from,
                               std::size_t to) const {
    Change change;
    auto other = coming.begin();
    for (auto token : moving) {
      while (other != coming.end() && *other < token) ++other;
      if (other != coming.end() && *other == token) continue;
      change.gone += needs_[from * sampled_ + token] == 1;
      change.come += needs_[to * sampled_ + token] == 0;
    }
    return change;
  }
  void add(std::size_t e, int rank, int more) {
    const auto target = targets_.of(rank);
    auto* needs = needs_.data() + target * sampled_;
    for (auto token : tokens_of_[e]) {
      const bool before = needs[token] > 0;
      needs[token] = static_cast<std::int16_t>(needs[token] + more);
      sent_[target] += (needs[token] > 0) - before;
    }
  }

  Targets targets_;
  std::size_t sampled_ = 0;
  double bytes_ = 0;                                   // that a token of the sample stands for
  std::vector<std::vector<std::uint32_t>> tokens_of_;  // [member] ascending
  std::vector<std::int16_t> needs_;                    // [target][token] members there it needs
  std::vector<std::int64_t> sent_;                     // [target] tokens that need any there
};

template <class Units, class Traffic>
Placement settle(const LayerCut& cut, const LayerProblem& problem, Traffic traffic, Isa isa) {
  auto placement = cut.placement;
  SwapSearch<Units> search(problem, cut.assigned, isa);
  auto now = search.value() + traffic.value();
  const auto least = 1e-9 * now;  // a swap must save more than rounding could pretend
  bool changed = true;
  for (int round = 0; changed && round < kNodeRounds; ++round) {
    changed = false;
    for (std::size_t a = 0; a < problem.ranks; ++a)
      for (std::size_t b = a + 1; b < problem.ranks; ++b) {
        if (problem.pulse) problem.pulse();
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
        traffic.exchange(x, static_cast<int>(a), y, static_cast<int>(b));
        search.make(best);
        const auto then =
            search.value() + traffic.value();  // recomputed, not from the expected gains
        if (!(then < now && now - then >= least)) {
          traffic.exchange(y, static_cast<int>(a), x, static_cast<int>(b));
          search.make(best);
          continue;
        }
        exchange(placement, static_cast<int>(a), cut.expert_of(x), static_cast<int>(b),
                 cut.expert_of(y));
        now = then;
        changed = true;
      }
  }
  return placement;
}

template <class Traffic>
Placement settle(const LayerCut& cut, const SearchCosts& costs, const Traffic& traffic,
                 const std::function<void()>& pulse, Isa isa) {
  auto problem = cut.problem(costs);
  problem.pulse = pulse;
  return costs.narrow() ? settle<std::int16_t>(cut, problem, traffic, isa)
                        : settle<std::int32_t>(cut, problem, traffic, isa);
}

}  // namespace

Placement settle_on_nodes(const Placement& placement, const PlanInput& input, int threads,
                          Isa isa) {
  auto result = placement;
  if (!Targets(input.network, placement.ranks).priced()) return result;
  WatchedLayers watched(input.watch, placement.layers, "between nodes");
  parallel_for(placement.layers, threads, [&](int layer) {
    watched.at(layer);
    const auto pulse = watched.pulse(layer);
    const LayerCut cut(placement, input.trace, layer);
    const SearchCosts costs(input.cost, cut.split.trace, placement.slots);
    const auto found =
        input.trace.has_ids()
            ? settle(cut, costs, TokenTraffic(cut, input.network, input.trace, layer), pulse, isa)
            : settle(cut, costs, CountTraffic(cut, input.network), pulse, isa);
    for (int rank = 0; rank < placement.ranks; ++rank)
      std::ranges::copy(found.on_rank(0, rank), result.on_rank(layer, rank).begin());
    watched.finished(layer);
  });
  return result;
}

}  // namespace gembench::inline strategies
