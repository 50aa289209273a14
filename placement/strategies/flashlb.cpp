#include "placement/strategies/flashlb.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "placement/cost/expert_sums.hpp"
#include "placement/strategies/replicas.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {
namespace {

using Copies = std::vector<std::int32_t>;

// The search: experts in four groups by falling risk; group by group the number of replicas that
// greedy gives it is varied by these amounts, and the best few go on.
constexpr std::size_t kGroups = 4;
constexpr int kVariations[] = {0, -1, 1, -2, 2, -4, 4, -8, 8};
constexpr std::size_t kBeam = 4;
constexpr int kJudgedSteps = 64;  // spread over the trace; FlashLB's sample
/// Above this many (replica, rank) pairs one packing takes so long that only greedy is used.
constexpr std::int64_t kSearchLimit = std::int64_t{1} << 18;

/// Searches how many replicas to give to whom.
class ReplicaSearch {
 public:
  ReplicaSearch(const Trace& trace, int layer, int ranks, int slots, int replicas,
                const std::function<void()>& pulse)
      : pulse_(pulse),
        trace_(trace),
        layer_(layer),
        ranks_(ranks),
        slots_(slots),
        moments_(trace, layer, pulse),
        order_(moments_.experts()) {
    std::vector<double> risk;
    for (std::size_t e = 0; e < order_.size(); ++e) risk.push_back(moments_.risk(e));
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::size_t a, std::size_t b) { return risk[a] > risk[b]; });
    const auto places = std::int64_t{ranks} * slots;
    spare_ = static_cast<int>(places - static_cast<std::int64_t>(order_.size()));
    spare_ = std::min(spare_, replicas);
    searched_ = spare_ > 0 && ranks > 1 && places * ranks <= kSearchLimit;
  }

  [[nodiscard]] RankMembers best() const {
    std::vector<Node> beam = {complete({})};
    auto least = beam.front();
    for (std::size_t group = 0; searched_ && group + 1 < kGroups; ++group) {
      std::vector<Node> next;
      for (const auto& node : beam)
        for (auto change : kVariations) {
          auto fixed = node.given;
          fixed.resize(group + 1);
          fixed[group] += change;
          if (fixed[group] < 0 || std::accumulate(fixed.begin(), fixed.end(), 0) > spare_) continue;
          next.push_back(complete(fixed));
        }
      std::stable_sort(next.begin(), next.end(),
                       [](const Node& a, const Node& b) { return a.imbalance < b.imbalance; });
      next.resize(std::min(next.size(), kBeam));
      if (next.front().imbalance < least.imbalance) least = next.front();
      beam = std::move(next);
    }
    return least.members;
  }

 private:
  struct Node {
    std::vector<int> given;  // [group] replicas beyond the first of each expert
    RankMembers members;
    double imbalance = 0;
  };

  [[nodiscard]] std::size_t first_of(std::size_t group) const {
    return order_.size() * group / kGroups;
  }

  /// Fixed numbers for the first groups; the rest of the spare slots goes where risk is largest.
  [[nodiscard]] Node complete(const std::vector<int>& fixed) const {
    if (pulse_) pulse_();
    Copies copies(order_.size(), 1);
    auto left = spare_;
    for (std::size_t group = 0; group < fixed.size(); ++group)
      left -= add(first_of(group), first_of(group + 1), fixed[group], copies);
    (void)add(first_of(fixed.size()), order_.size(), left, copies);
    Node node;
    for (std::size_t group = 0; group < kGroups; ++group) {
      node.given.push_back(0);
      for (auto i = first_of(group); i < first_of(group + 1); ++i)
        node.given.back() += copies[order_[i]] - 1;
    }
    node.members = pack_by_risk(moments_, copies, ranks_, slots_);
    if (searched_) node.imbalance = imbalance_of(node.members);
    return node;
  }

  /// Gives `count` replicas to experts [first, last) of the order, each to the largest risk per
  /// replica. Returns how many found a taker.
  int add(std::size_t first, std::size_t last, int count, Copies& copies) const {
    std::vector<std::pair<double, std::size_t>> heap;  // risk per replica; place in the order
    for (auto i = first; i < last && ranks_ > 1; ++i)
      heap.emplace_back(moments_.risk(order_[i]) / copies[order_[i]], i);
    const auto less = [](const auto& a, const auto& b) {
      return a.first < b.first || (a.first == b.first && a.second > b.second);
    };
    std::make_heap(heap.begin(), heap.end(), less);
    int given = 0;
    for (; given < count && !heap.empty(); ++given) {
      std::pop_heap(heap.begin(), heap.end(), less);
      const auto expert = order_[heap.back().second];
      if (++copies[expert] == ranks_) {
        heap.pop_back();
        continue;
      }
      heap.back().first = moments_.risk(expert) / copies[expert];
      std::push_heap(heap.begin(), heap.end(), less);
    }
    return given;
  }

  /// Mean over some steps of max/mean over ranks, with loads split evenly.
  [[nodiscard]] double imbalance_of(const RankMembers& members) const {
    std::vector<double> copies(order_.size(), 0);
    for (const auto& rank : members)
      for (auto e : rank) ++copies[static_cast<std::size_t>(e)];
    const auto judged = std::min(trace_.steps, kJudgedSteps);
    double sum = 0;
    for (int i = 0; i < judged; ++i) {
      const auto step = static_cast<int>(std::int64_t{trace_.steps} * i / judged);
      const auto tokens = trace_.loads(step, layer_);
      double most = 0;
      double all = 0;
      for (const auto& rank : members) {
        double load = 0;
        for (auto e : rank)
          load += tokens[static_cast<std::size_t>(e)] / copies[static_cast<std::size_t>(e)];
        most = std::max(most, load);
        all += load;
      }
      sum += all > 0 ? most * ranks_ / all : 1;
    }
    return sum / judged;
  }

  const std::function<void()>& pulse_;
  const Trace& trace_;
  int layer_;
  int ranks_;
  int slots_;
  LoadMoments moments_;
  std::vector<std::size_t> order_;  // experts by falling risk
  int spare_ = 0;
  bool searched_ = false;
};

}  // namespace

LoadMoments::LoadMoments(const Trace& trace, int layer, const std::function<void()>& pulse)
    : mean(static_cast<std::size_t>(trace.experts), 0), covariance(mean.size() * mean.size(), 0) {
  const auto count = mean.size();
  for (int step = 0; step < trace.steps; ++step)
    for (std::size_t e = 0; e < count; ++e) mean[e] += trace.loads(step, layer)[e];
  for (auto& one : mean) one /= trace.steps;
  std::vector<double> deviation;  // [step][expert]
  deviation.reserve(count * static_cast<std::size_t>(trace.steps));
  for (int step = 0; step < trace.steps; ++step)
    for (std::size_t e = 0; e < count; ++e)
      deviation.push_back(trace.loads(step, layer)[e] - mean[e]);
  for (std::size_t a = 0; a < count; ++a) {
    if (pulse) pulse();
    auto* row = covariance.data() + a * count;
    for (const auto* at = deviation.data(); at != deviation.data() + deviation.size(); at += count)
      for (auto b = a; b < count; ++b) row[b] += at[a] * at[b];
    for (auto b = a; b < count; ++b) covariance[b * count + a] = row[b] /= trace.steps;
  }
}

double LoadMoments::risk(std::size_t expert) const {
  return mean[expert] + kFlashRisk * std::sqrt(between(expert, expert));
}

RankMembers pack_by_risk(const LoadMoments& moments, std::span<const std::int32_t> copies,
                         int ranks, int slots) {
  const auto experts = moments.experts();
  struct Item {
    std::size_t expert;
    double risk;
  };
  std::vector<Item> items;
  for (std::size_t e = 0; e < experts; ++e)
    items.insert(items.end(), static_cast<std::size_t>(copies[e]),
                 {e, moments.risk(e) / copies[e]});
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.risk > b.risk; });
  struct Rank {
    double mean = 0;
    double variance = 0;
    std::vector<double> with;  // [expert] covariance of a whole expert's load with the rank's
  };
  std::vector<Rank> state(static_cast<std::size_t>(ranks), {0, 0, std::vector<double>(experts, 0)});
  RankMembers members(state.size());
  for (const auto& item : items) {
    const auto e = item.expert;
    const double share = 1.0 / copies[e];
    const double mean = moments.mean[e] * share;
    const double variance = moments.between(e, e) * share * share;
    auto best = state.size();
    double least = 0;
    for (std::size_t r = 0; r < state.size(); ++r) {
      const auto& on = members[r];
      if (on.size() == static_cast<std::size_t>(slots)) continue;
      if (copies[e] > 1 &&
          std::find(on.begin(), on.end(), static_cast<std::int32_t>(e)) != on.end())
        continue;
      const double together = state[r].variance + variance + 2 * share * state[r].with[e];
      // Experts that fire in turns have a negative covariance; rounding may go below zero.
      const double risk = state[r].mean + mean + kFlashRisk * std::sqrt(std::max(together, 0.0));
      if (best != state.size() && risk >= least) continue;
      best = r;
      least = risk;
    }
    if (best == state.size()) continue;
    auto& rank = state[best];
    rank.mean += mean;
    rank.variance += variance + 2 * share * rank.with[e];
    for (std::size_t other = 0; other < experts; ++other)
      rank.with[other] += share * moments.between(e, other);
    members[best].push_back(static_cast<std::int32_t>(e));
  }
  return members;
}

RankMembers flashlb_layer(const Trace& trace, int layer, int ranks, int slots, int replicas,
                          const std::function<void()>& pulse) {
  return ReplicaSearch(trace, layer, ranks, slots, replicas, pulse).best();
}

Placement plan_flashlb(const PlanInput& input) {
  auto placement = empty_plan(input, "flashlb");
  const auto sums = expert_sums(input.trace, input.threads);
  const auto replicas = replicas_to_make(input, placement);
  WatchedLayers watched(input.watch, placement.layers);
  for (int layer = 0; layer < placement.layers; ++layer) {
    const auto members = flashlb_layer(input.trace, layer, placement.ranks, placement.slots,
                                       replicas, watched.pulse(layer));
    for (int rank = 0; rank < placement.ranks; ++rank)
      std::copy(members[static_cast<std::size_t>(rank)].begin(),
                members[static_cast<std::size_t>(rank)].end(),
                placement.on_rank(layer, rank).begin());
    // Packing drops a replica for which no rank is left.
    const auto experts = static_cast<std::size_t>(placement.experts);
    add_cold_replicas(std::span(sums).subspan(static_cast<std::size_t>(layer) * experts, experts),
                      layer, replicas, placement);
    watched.finished(layer);
  }
  return placement;
}

}  // namespace gembench::inline strategies
