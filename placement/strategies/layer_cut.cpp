#include "placement/strategies/layer_cut.hpp"

#include <algorithm>
#include <utility>

namespace gembench::inline strategies {

LayerCut::LayerCut(const Placement& from, const Trace& trace, int layer)
    : steps(one_layer(trace, layer)), placement(from) {
  placement.layers = 1;
  placement.slot_expert.clear();
  std::vector<std::vector<std::int32_t>> hosts(static_cast<std::size_t>(from.experts));
  std::vector<std::int32_t> empty;  // [spare slot] rank
  for (int rank = 0; rank < from.ranks; ++rank)
    for (auto e : from.on_rank(layer, rank)) {
      placement.slot_expert.push_back(e);
      (e < 0 ? empty : hosts[static_cast<std::size_t>(e)]).push_back(rank);
    }
  std::vector<std::int32_t> copies;
  for (const auto& ranks : hosts) copies.push_back(static_cast<std::int32_t>(ranks.size()));
  split = split_layer(steps, copies);
  std::vector<std::size_t> used(hosts.size(), 0);
  for (auto e : split.expert) {
    const auto expert = static_cast<std::size_t>(e);
    assigned.push_back(hosts[expert][used[expert]++]);
  }
  assigned.insert(assigned.end(), empty.begin(), empty.end());
}

LayerProblem LayerCut::problem(const SearchCosts& costs) const {
  LayerProblem problem(split.trace, 0, costs, placement.slots);
  if (split.trace.experts > placement.experts) problem.replica_of = split.expert;
  return problem;
}

Exchanged exchange(Placement& placement, int rank, std::int32_t expert, int other_rank,
                   std::int32_t other) {
  if (expert < 0) return exchange(placement, other_rank, other, rank, expert);
  const auto here = placement.on_rank(0, rank);
  const auto there = placement.on_rank(0, other_rank);
  const auto slot = std::ranges::find(here, expert);
  const auto other_slot = std::ranges::find(there, other);
  std::swap(*slot, *other_slot);
  return {rank,       static_cast<int>(slot - here.begin()),
          other_rank, static_cast<int>(other_slot - there.begin()),
          expert,     other};
}

}  // namespace gembench::inline strategies
