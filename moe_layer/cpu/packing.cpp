#include "moe_layer/cpu/packing.hpp"

#include <algorithm>
#include <cstring>

#include "placement/base/index.hpp"
#include "placement/cost/placement.hpp"

namespace gembench::inline cpu {

CpuPacking::CpuPacking(int ranks, int topk, std::size_t row_bytes)
    : ranks_(sz(ranks)),
      topk_(sz(topk)),
      row_bytes_(row_bytes),
      seen_(ranks_),
      first_row_(ranks_),
      row_at_(ranks_),
      pair_at_(ranks_) {}

/// First counts rows and pairs for every destination, then places them, in two passes with the same
/// order. `for_each_pair(visit)` calls visit(from row, rank, slot, weight, row), where `row` is -1
/// until the from row has one at that rank.
template <class ForEachPair>
void CpuPacking::place(const ForEachPair& for_each_pair, const Placing& to) {
  const std::size_t ranks = ranks_, width = to.counts.size() / ranks;
  const auto count = [&](std::int32_t rank, std::size_t which) -> std::int32_t& {
    return to.counts[sz(rank) * width + which];
  };
  std::fill(to.counts.begin(), to.counts.end(), 0);
  for_each_pair([&](std::size_t, int rank, int slot, float, std::int32_t& row) {
    if (row < 0) row = count(rank, 0)++;
    ++count(rank, 1);
    ++count(rank, 2 + sz(slot));
  });
  std::int32_t rows = 0, pairs = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    row_at_[r] = first_row_[r] = rows;
    pair_at_[r] = pairs;
    rows += to.counts[r * width];
    pairs += to.counts[r * width + 1];
  }
  for_each_pair([&](std::size_t from, int rank, int slot, float weight, std::int32_t& row) {
    if (row < 0) {
      const auto at = sz(row_at_[sz(rank)]++);
      row = static_cast<std::int32_t>(at) - first_row_[sz(rank)];
      std::memcpy(to.rows->as<char>() + at * row_bytes_, to.from->as<char>() + from * row_bytes_,
                  row_bytes_);
      to.row_from->as<std::int32_t>()[at] = static_cast<std::int32_t>(from);
    }
    to.pairs->as<Pair>()[sz(pair_at_[sz(rank)]++)] = {row, slot, weight};
  });
}

void CpuPacking::pack(const PackArgs& args) {
  const std::size_t k = topk_;
  const auto* ids = args.ids->as<std::uint16_t>();
  const auto* weights = args.weights->as<float>();
  const auto* locations = args.locations->as<Location>();
  const auto for_each_pair = [&](auto&& visit) {
    for (std::size_t t = 0; t < sz(args.tokens); ++t) {
      std::fill(seen_.begin(), seen_.end(), -1);
      for (std::size_t j = 0; j < k; ++j) {
        const Location location = locations[ids[t * k + j]];
        visit(t, location.rank, location.slot, weights[t * k + j], seen_[sz(location.rank)]);
      }
    }
  };
  place(for_each_pair,
        {args.payload, args.send_rows, args.send_pairs, args.row_token, args.counts});
}

void CpuPacking::forward(const ForwardArgs& args) {
  const auto* pairs = args.pairs->as<Pair>();
  const auto for_each_pair = [&](auto&& visit) {
    std::int32_t first_row = 0;
    const Pair* pair = pairs;
    for (std::size_t source = 0; source < args.pairs_from.size(); ++source) {
      std::int32_t last = -1;  // the pairs of a row are contiguous
      for (std::int32_t i = 0; i < args.pairs_from[source]; ++i, ++pair) {
        if (pair->row != last) std::fill(seen_.begin(), seen_.end(), -1);
        last = pair->row;
        const int rank = args.ranks[sz(pair->slot / args.slots)];
        visit(sz(first_row + pair->row), rank, pair->slot % args.slots, pair->weight,
              seen_[sz(rank)]);
      }
      first_row += args.rows_from[source];
    }
  };
  place(for_each_pair, {args.rows, args.send_rows, args.send_pairs, args.row_source, args.counts});
}

}  // namespace gembench::inline cpu
