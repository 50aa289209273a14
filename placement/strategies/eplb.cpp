#include "placement/strategies/eplb.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "placement/cost/expert_sums.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline strategies {
namespace {

using Expert = std::int32_t;
using Load = std::int64_t;

void require_shape(const EplbShape& shape) {
  const auto [experts, ranks, slots, nodes, groups, replicas] = shape;
  if (experts < 1 || ranks < 1 || slots < 1 || nodes < 1 || groups < 1)
    throw usage_error(
        fmt::format("{} experts, {} ranks, {} slots, {} nodes and {} groups; EPLB needs at least 1 "
                    "of each",
                    experts, ranks, slots, nodes, groups));
  if (std::int64_t{ranks} * slots < experts)
    throw usage_error(fmt::format("{} ranks with {} slots cannot hold {} experts; use more slots",
                                  ranks, slots, experts));
  if (replicas < 0 && replicas != kFillSlots)
    throw usage_error(fmt::format("{} replicas; ask for 0 or more", replicas));
  if (experts % groups != 0 || groups % nodes != 0 || ranks % nodes != 0)
    throw usage_error(
        fmt::format("{} experts in {} groups on {} ranks of {} nodes do not divide evenly; choose "
                    "groups that divide the experts and nodes that divide groups and ranks",
                    experts, groups, ranks, nodes));
}

/// Whether load a shared by ca is more than b shared by cb, exactly.
bool more_each(Load a, Load ca, Load b, Load cb) {
  return uint128(a) * uint128(cb) > uint128(b) * uint128(ca);
}

/// Equal numbers of items in packs: [item] -> pack.
std::vector<int> balanced_packs(const std::vector<Load>& load, int packs) {
  const auto room = load.size() / static_cast<std::size_t>(packs);
  std::vector<int> pack_of(load.size());
  std::iota(pack_of.begin(), pack_of.end(), 0);
  if (room == 1) return pack_of;
  std::vector<std::size_t> order(load.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
  std::vector<Load> sum(static_cast<std::size_t>(packs), 0);
  std::vector<std::size_t> used(sum.size(), 0);
  for (auto item : order) {
    auto best = sum.size();
    for (std::size_t pack = 0; pack < sum.size(); ++pack)
      if (used[pack] < room && (best == sum.size() || sum[pack] < sum[best])) best = pack;
    pack_of[item] = static_cast<int>(best);
    sum[best] += load[item];
    ++used[best];
  }
  return pack_of;
}

/// [local expert] -> number of replicas: `places` in all, or fewer where each has `most` of them.
std::vector<Load> count_replicas(const std::vector<Load>& load, std::size_t places, Load most) {
  std::vector<Load> copies(load.size(), 1);
  const auto less = [&](std::size_t a, std::size_t b) {  // the heap's top: most load per replica
    if (more_each(load[b], copies[b], load[a], copies[a])) return true;
    return !more_each(load[a], copies[a], load[b], copies[b]) && b < a;
  };
  std::vector<std::size_t> heap;
  if (most > 1 && places > load.size()) {
    heap.resize(load.size());
    std::iota(heap.begin(), heap.end(), std::size_t{0});
    std::make_heap(heap.begin(), heap.end(), less);
  }
  for (auto left = places - load.size(); left > 0 && !heap.empty(); --left) {
    std::pop_heap(heap.begin(), heap.end(), less);
    if (++copies[heap.back()] == most)
      heap.pop_back();
    else
      std::push_heap(heap.begin(), heap.end(), less);
  }
  return copies;
}

/// Ranks of one node, filled one replica at a time.
class NodePacking {
 public:
  NodePacking(std::size_t ranks, std::size_t slots)
      : slots_(slots), sum_(ranks, 0), held_(ranks), heap_(ranks) {
    std::iota(heap_.begin(), heap_.end(), std::size_t{0});  // all alike: already a heap
  }

  void place(std::size_t item, double load, bool only_one) {
    std::vector<std::size_t> aside;  // ranks with room that hold the expert
    const auto heavier = [&](std::size_t a, std::size_t b) {
      return sum_[a] > sum_[b] || (sum_[a] == sum_[b] && a > b);
    };
    bool placed = false;
    while (!placed && !heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), heavier);
      const auto rank = heap_.back();
      heap_.pop_back();
      if (!only_one && holds(rank, item)) {
        aside.push_back(rank);
        continue;
      }
      put(rank, item, load);
      placed = true;
      if (held_[rank].size() < slots_) aside.push_back(rank);
    }
    if (!placed) {
      trade(aside.front(), item, load);
      if (held_[aside.front()].size() == slots_) aside.erase(aside.begin());
    }
    for (auto rank : aside) {
      heap_.push_back(rank);
      std::push_heap(heap_.begin(), heap_.end(), heavier);
    }
  }

  [[nodiscard]] const std::vector<std::pair<std::size_t, double>>& on(std::size_t rank) const {
    return held_[rank];
  }

 private:
  [[nodiscard]] bool holds(std::size_t rank, std::size_t item) const {
    return std::any_of(held_[rank].begin(), held_[rank].end(),
                       [&](const auto& one) { return one.first == item; });
  }
  void put(std::size_t rank, std::size_t item, double load) {
    held_[rank].emplace_back(item, load);
    sum_[rank] += load;
  }
  /// Every rank with room holds `item`. The lightest of them receives an expert from a full rank
  /// that does not hold `item`, and `item` goes there. Such an expert exists, since the full rank
  /// holds more different experts than the other has besides `item`. Among all such swaps it uses
  /// the one whose heavier rank is lightest.
  void trade(std::size_t open, std::size_t item, double load) {
    auto best = sum_.size();
    std::size_t best_index = 0;
    double least = 0;
    for (std::size_t rank = 0; rank < sum_.size(); ++rank) {
      if (held_[rank].size() < slots_ || holds(rank, item)) continue;
      for (std::size_t i = 0; i < held_[rank].size(); ++i) {
        const auto [other, other_load] = held_[rank][i];
        if (holds(open, other)) continue;
        const auto heaviest = std::max(sum_[open] + other_load, sum_[rank] - other_load + load);
        if (best != sum_.size() && heaviest >= least) continue;
        best = rank;
        best_index = i;
        least = heaviest;
      }
    }
    const auto moved = held_[best][best_index];
    put(open, moved.first, moved.second);
    held_[best][best_index] = {item, load};
    sum_[best] += load - moved.second;
  }

  std::size_t slots_;
  std::vector<double> sum_;
  std::vector<std::vector<std::pair<std::size_t, double>>> held_;  // [rank] item and its load
  std::vector<std::size_t> heap_;  // ranks with room, lightest first
};

/// Replicates and packs the experts of one node; `slot_expert` is that node's part. `most`: places
/// to use at most.
void pack_node(const std::vector<Expert>& members, std::span<const Load> load, std::size_t ranks,
               std::size_t slots, std::size_t most, std::span<Expert> slot_expert) {
  std::vector<Load> own(members.size());
  std::transform(members.begin(), members.end(), own.begin(),
                 [&](Expert e) { return load[static_cast<std::size_t>(e)]; });
  const auto copies = count_replicas(own, std::min(ranks * slots, most), static_cast<Load>(ranks));
  struct Item {
    std::size_t local;
    double load;
  };
  std::vector<Item> items;
  // First all experts, then their further replicas: EPLB's order of equal loads.
  for (Load round = 0; round < *std::max_element(copies.begin(), copies.end()); ++round)
    for (std::size_t i = 0; i < own.size(); ++i)
      if (round < copies[i])
        items.push_back({i, static_cast<double>(own[i]) / static_cast<double>(copies[i])});
  if (slots > 1)
    std::stable_sort(items.begin(), items.end(),
                     [](const Item& a, const Item& b) { return a.load > b.load; });
  NodePacking packing(ranks, slots);
  if (slots == 1) {  // one item a pack stays in order
    for (std::size_t i = 0; i < items.size(); ++i) slot_expert[i] = members[items[i].local];
    return;
  }
  for (const auto& item : items) packing.place(item.local, item.load, copies[item.local] == 1);
  for (std::size_t rank = 0; rank < ranks; ++rank)
    for (std::size_t i = 0; i < packing.on(rank).size(); ++i)
      slot_expert[rank * slots + i] = members[packing.on(rank)[i].first];
}

}  // namespace

void eplb_layer(const EplbShape& shape, std::span<const std::int64_t> load,
                std::span<std::int32_t> slot_expert) {
  require_shape(shape);
  if (std::any_of(load.begin(), load.end(), [](Load one) { return one < 0; }))
    throw usage_error("an expert's load is below zero; record the loads again");
  std::fill(slot_expert.begin(), slot_expert.end(), -1);
  const auto groups = static_cast<std::size_t>(shape.groups);
  const auto group_size = load.size() / groups;
  std::vector<Load> group_load(groups);
  for (std::size_t g = 0; g < groups; ++g)
    group_load[g] =
        std::accumulate(load.begin() + static_cast<std::ptrdiff_t>(g * group_size),
                        load.begin() + static_cast<std::ptrdiff_t>((g + 1) * group_size), Load{0});
  const auto node_of = balanced_packs(group_load, shape.nodes);
  const auto ranks = static_cast<std::size_t>(shape.ranks / shape.nodes);
  const auto slots = static_cast<std::size_t>(shape.slots);
  std::vector<Expert> members;
  for (int node = 0; node < shape.nodes; ++node) {
    members.clear();
    for (std::size_t e = 0; e < load.size(); ++e)
      if (node_of[e / group_size] == node) members.push_back(static_cast<Expert>(e));
    const auto most = shape.replicas == kFillSlots
                          ? ranks * slots
                          : members.size() + static_cast<std::size_t>(shape.replicas / shape.nodes);
    pack_node(members, load, ranks, slots, most,
              slot_expert.subspan(static_cast<std::size_t>(node) * ranks * slots, ranks * slots));
  }
}

Placement eplb_from_sums(const EplbShape& shape, std::span<const std::int64_t> sums) {
  require_shape(shape);
  const auto experts = static_cast<std::size_t>(shape.experts);
  if (sums.empty() || sums.size() % experts != 0)
    throw usage_error(
        fmt::format("{} loads are no whole number of layers of {} experts", sums.size(), experts));
  auto placement = empty_placement(static_cast<int>(sums.size() / experts), shape.ranks,
                                   shape.experts, shape.slots);
  const auto cells = static_cast<std::size_t>(shape.ranks) * std::size_t(shape.slots);
  auto slot_expert = std::span(placement.slot_expert);
  for (; !sums.empty(); sums = sums.subspan(experts), slot_expert = slot_expert.subspan(cells))
    eplb_layer(shape, sums.first(experts), slot_expert.first(cells));
  return placement;
}

Placement plan_eplb(const PlanInput& input) {
  const auto empty = empty_plan(input, "eplb");
  auto placement = eplb_from_sums(
      {empty.experts, empty.ranks, empty.slots, 1, 1, replicas_to_make(input, empty)},
      expert_sums(input.trace, input.threads));
  placement.strategy = empty.strategy;
  return placement;
}

Placement plan_eplb_hier(const PlanInput& input) {
  const auto empty = empty_plan(input, "eplb-hier");
  const auto groups = input.groups == 0 ? input.nodes : input.groups;
  auto placement = eplb_from_sums({empty.experts, empty.ranks, empty.slots, input.nodes, groups,
                                   replicas_to_make(input, empty)},
                                  expert_sums(input.trace, input.threads));
  placement.strategy = empty.strategy;
  return placement;
}

}  // namespace gembench::inline strategies
