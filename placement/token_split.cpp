#include "placement/token_split.hpp"

#include <algorithm>

namespace gembench {

TokenSplit::TokenSplit(const Placement& placement)
    : layers_(placement.layers),
      ranks_(placement.ranks),
      slots_(placement.slots),
      experts_(placement.experts) {
  validate(placement);
  const auto experts = static_cast<std::size_t>(experts_);
  cell_.reserve(placement.slot_expert.size());
  first_.reserve((experts + 1) * static_cast<std::size_t>(layers_));
  std::vector<std::vector<std::int32_t>> cells(experts);
  for (int layer = 0; layer < layers_; ++layer) {
    for (auto& one : cells) one.clear();
    for (int rank = 0; rank < ranks_; ++rank) {
      const auto on_rank = placement.on_rank(layer, rank);
      for (int slot = 0; slot < slots_; ++slot) {
        const auto expert = on_rank[static_cast<std::size_t>(slot)];
        if (expert >= 0) cells[static_cast<std::size_t>(expert)].push_back(rank * slots_ + slot);
      }
    }
    for (std::size_t e = 0; e < experts; ++e) {
      auto& one = cells[e];
      std::rotate(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(e % one.size()),
                  one.end());
      first_.push_back(static_cast<std::int32_t>(cell_.size()));
      cell_.insert(cell_.end(), one.begin(), one.end());
      for (auto cell : one) rank_.push_back(cell / slots_);
    }
    first_.push_back(static_cast<std::int32_t>(cell_.size()));
  }
}

template <class Add>
void TokenSplit::split(std::span<const std::int32_t> tokens, int layer, Add add) const {
  // `add` gets the index of a replica in rank_ and cell_, and its tokens.
  const auto* first = first_.data() + static_cast<std::size_t>(layer) * (tokens.size() + 1);
  for (std::size_t e = 0; e < tokens.size(); ++e) {
    const auto at = static_cast<std::size_t>(first[e]);
    const auto copies = first[e + 1] - first[e];
    if (copies == 1) {
      add(at, tokens[e]);
      continue;
    }
    const auto each = tokens[e] / copies;
    const auto one_more = tokens[e] % copies;
    for (std::int32_t i = 0; i < copies; ++i)
      add(at + static_cast<std::size_t>(i), each + (i < one_more));
  }
}

void TokenSplit::rank_loads(std::span<const std::int32_t> tokens, int layer,
                            std::span<std::int64_t> row) const {
  std::fill(row.begin(), row.end(), 0);
  split(tokens, layer, [&](std::size_t replica, std::int32_t count) {
    row[static_cast<std::size_t>(rank_[replica])] += count;
  });
}

void TokenSplit::slot_loads(std::span<const std::int32_t> tokens, int layer,
                            std::span<std::int64_t> row) const {
  std::fill(row.begin(), row.end(), 0);
  split(tokens, layer, [&](std::size_t replica, std::int32_t count) {
    row[static_cast<std::size_t>(cell_[replica])] = count;
  });
}

}  // namespace gembench
