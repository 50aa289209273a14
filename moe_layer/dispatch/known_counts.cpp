#include "moe_layer/dispatch/known_counts.hpp"

#include <algorithm>

#include "placement/base/index.hpp"

namespace gembench::inline dispatch {

void count_sends(std::span<const std::uint16_t> ids, int topk, std::span<const Location> locations,
                 int slots, std::span<std::int32_t> counts) {
  const std::size_t k = sz(topk), width = 2 + sz(slots);
  std::fill(counts.begin(), counts.end(), 0);
  for (std::size_t first = 0; first + k <= ids.size(); first += k) {
    for (std::size_t j = first; j < first + k; ++j) {
      const Location to = locations[ids[j]];
      std::int32_t* const of_rank = &counts[sz(to.rank) * width];
      ++of_rank[1];
      ++of_rank[2 + sz(to.slot)];
      // A row once, for the first of the token's experts there.
      const auto before = ids.subspan(first, j - first);
      if (std::ranges::none_of(before, [&](auto id) { return locations[id].rank == to.rank; })) {
        ++of_rank[0];
      }
    }
  }
}

}  // namespace gembench::inline dispatch
