#include "placement/c_api/kept_slots.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "placement/base/index.hpp"
#include "placement/strategies/replicas.hpp"

namespace gembench::inline c_api {
namespace {

bool holds(std::span<const std::int32_t> row, std::int32_t expert) {
  return std::ranges::find(row, expert) != row.end();
}

/// [rank] the first rank of equal latency at every load point, on the same node.
std::vector<int> kinds_of(const CostModel& cost, int nodes) {
  std::vector<int> kind(sz(cost.ranks()));
  const int each = std::max(1, cost.ranks() / std::max(1, nodes));
  for (int rank = 0; rank < cost.ranks(); ++rank) {
    int like = 0;
    while (like / each != rank / each ||
           !std::ranges::equal(cost.latency(like), cost.latency(rank))) {
      ++like;
    }
    kind[sz(rank)] = like;
  }
  return kind;
}

/// A planned row and a rank of the previous map that has some of its experts.
struct Overlap {
  int shared = 0, row = 0, rank = 0;
};

/// A layer's replicas while they are repaired.
class Repair {
 public:
  Repair(Placement& placement, int layer, std::span<const std::int64_t> load, const CostModel& cost)
      : placement_(placement), layer_(layer), load_(load), cost_(cost), copies_(load.size()) {
    for (int rank = 0; rank < placement.ranks; ++rank) {
      for (const auto expert : placement.on_rank(layer, rank)) {
        if (expert >= 0) ++copies_[sz(expert)];
      }
    }
  }

  void add_missing() {
    std::vector<std::int32_t> missing;
    for (std::size_t expert = 0; expert < copies_.size(); ++expert) {
      if (copies_[expert] == 0) missing.push_back(static_cast<std::int32_t>(expert));
    }
    std::ranges::stable_sort(missing, [&](auto a, auto b) { return load_[sz(a)] > load_[sz(b)]; });
    for (const auto expert : missing) {
      int rank = soonest_with_room();
      if (rank < 0) rank = make_room();
      *std::ranges::find(placement_.on_rank(layer_, rank), -1) = expert;
      copies_[sz(expert)] = 1;
    }
  }

 private:
  [[nodiscard]] double share(std::int32_t expert) const {
    return static_cast<double>(load_[sz(expert)]) / copies_[sz(expert)];
  }
  [[nodiscard]] double seconds(int rank) const {
    double tokens = 0;
    for (const auto expert : placement_.on_rank(layer_, rank)) {
      if (expert >= 0) tokens += share(expert);
    }
    return tokens * cost_.mean_slope(rank);
  }
  /// -1: every slot is taken.
  [[nodiscard]] int soonest_with_room() const {
    int best = -1;
    double least = 0;
    for (int rank = 0; rank < placement_.ranks; ++rank) {
      if (!holds(placement_.on_rank(layer_, rank), -1)) continue;
      const double now = seconds(rank);
      if (best >= 0 && now >= least) continue;
      best = rank;
      least = now;
    }
    return best;
  }
  /// Empties the slot of the replica with the least load; returns its rank. Some expert has
  /// replicas: all slots are taken, there are as many as experts, and one is missing.
  int make_room() {
    int from = -1;
    std::int32_t* slot = nullptr;
    for (int rank = 0; rank < placement_.ranks; ++rank) {
      for (auto& expert : placement_.on_rank(layer_, rank)) {
        if (copies_[sz(expert)] < 2 || (slot != nullptr && share(expert) >= share(*slot))) continue;
        from = rank;
        slot = &expert;
      }
    }
    --copies_[sz(*slot)];
    *slot = -1;
    return from;
  }

  Placement& placement_;
  int layer_;
  std::span<const std::int64_t> load_;
  const CostModel& cost_;
  std::vector<int> copies_;  // [expert]
};

}  // namespace

void match_ranks(const Placement& previous, const CostModel& cost, int nodes, Placement& plan) {
  const auto kind = kinds_of(cost, nodes);
  std::vector<std::vector<int>> had(sz(plan.experts));  // [expert] ranks of the previous map
  for (int layer = 0; layer < plan.layers; ++layer) {
    for (auto& ranks : had) ranks.clear();
    for (int rank = 0; rank < previous.ranks; ++rank) {
      for (const auto expert : previous.on_rank(layer, rank)) {
        if (expert >= 0) had[sz(expert)].push_back(rank);
      }
    }
    std::vector<Overlap> overlaps;
    for (int row = 0; row < plan.ranks; ++row) {
      std::map<int, int> shared;  // by rank
      for (const auto expert : plan.on_rank(layer, row)) {
        if (expert < 0) continue;
        for (const int rank : had[sz(expert)]) shared[rank] += kind[sz(rank)] == kind[sz(row)];
      }
      for (const auto& [rank, count] : shared) {
        if (count > 0) overlaps.push_back({count, row, rank});
      }
    }
    std::ranges::stable_sort(overlaps, [](const auto& a, const auto& b) {
      return a.shared != b.shared ? a.shared > b.shared : (a.row == a.rank) > (b.row == b.rank);
    });
    constexpr int kNone = -1;
    std::vector<int> to(sz(plan.ranks), kNone), from(sz(plan.ranks), kNone);  // row <-> rank
    const auto give = [&](int row, int rank) {
      to[sz(row)] = rank;
      from[sz(rank)] = row;
    };
    for (const Overlap& overlap : overlaps) {
      if (to[sz(overlap.row)] == kNone && from[sz(overlap.rank)] == kNone) {
        give(overlap.row, overlap.rank);
      }
    }
    for (int row = 0; row < plan.ranks; ++row) {  // rows that share nothing
      for (int rank = 0; to[sz(row)] == kNone; ++rank) {
        if (from[sz(rank)] == kNone && kind[sz(rank)] == kind[sz(row)]) give(row, rank);
      }
    }
    const Placement planned = plan;
    for (int row = 0; row < plan.ranks; ++row) {
      std::ranges::copy(planned.on_rank(layer, row), plan.on_rank(layer, to[sz(row)]).begin());
    }
  }
}

void keep_slots(const Placement& previous, Placement& plan) {
  for (int layer = 0; layer < plan.layers; ++layer) {
    for (int rank = 0; rank < plan.ranks; ++rank) {
      const auto before = previous.on_rank(layer, rank);
      const auto row = plan.on_rank(layer, rank);
      std::vector<std::int32_t> kept(row.size(), -1), others;
      for (const auto expert : row) {
        if (expert < 0) continue;
        const auto slot = std::ranges::find(before, expert);
        if (slot == before.end()) {
          others.push_back(expert);
        } else {
          kept[sz(slot - before.begin())] = expert;
        }
      }
      auto next = others.begin();
      for (auto& slot : kept) {
        if (slot < 0 && next != others.end()) slot = *next++;
      }
      std::ranges::copy(kept, row.begin());
    }
  }
}

Placement repaired(Placement previous, std::span<const std::int64_t> sums, const CostModel& cost) {
  const std::size_t experts = sz(previous.experts);
  const int replicas = previous.ranks * previous.slots - previous.experts;
  for (int layer = 0; layer < previous.layers; ++layer) {
    const auto load = sums.subspan(sz(layer) * experts, experts);
    Repair(previous, layer, load, cost).add_missing();
    add_cold_replicas(load, layer, replicas, previous);
  }
  return previous;
}

}  // namespace gembench::inline c_api
