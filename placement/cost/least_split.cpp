#include "placement/cost/least_split.hpp"

#include <algorithm>
#include <utility>

#include "placement/base/index.hpp"

namespace gembench::inline cost {
namespace {

constexpr std::int32_t kUnseen = -2;

/// Searches, breadth first, for a rank with room that tokens without a rank can reach, perhaps by
/// displacing others. -1: none; then `by` and `origin` mark the minimum cut.
std::int32_t reach(const ReplicaEdges& edges, std::span<const std::int32_t> counts,
                   LeastSplitScratch& s) {
  std::fill(s.by.begin(), s.by.end(), -1);
  std::fill(s.origin.begin(), s.origin.end(), kUnseen);
  s.queue.clear();
  for (std::size_t e = 0; e < s.left.size(); ++e) {
    if (s.left[e] == 0) continue;
    s.origin[e] = -1;
    s.queue.push_back(static_cast<std::int32_t>(e));
  }
  for (std::size_t next = 0; next < s.queue.size(); ++next) {
    const auto e = sz(s.queue[next]);
    for (auto replica = edges.first[e]; replica < edges.first[e + 1]; ++replica) {
      const auto rank = edges.rank[sz(replica)];
      if (s.by[sz(rank)] >= 0) continue;
      s.by[sz(rank)] = replica;
      if (s.room[sz(rank)] > 0) return rank;
      for (auto i = edges.from[sz(rank)]; i < edges.from[sz(rank) + 1]; ++i) {
        const auto held = edges.held[sz(i)];
        const auto other = edges.expert[sz(held)];
        if (counts[sz(held)] == 0 || s.origin[sz(other)] != kUnseen) continue;
        s.origin[sz(other)] = held;
        s.queue.push_back(other);
      }
    }
  }
  return -1;
}

/// Moves as many tokens as fit along the path that `reach` found to `rank`.
void augment(const ReplicaEdges& edges, std::int32_t rank, std::span<std::int32_t> counts,
             LeastSplitScratch& s) {
  auto fits = s.room[sz(rank)];
  std::int32_t expert = 0;
  for (auto replica = s.by[sz(rank)];;) {
    expert = edges.expert[sz(replica)];
    const auto displaced = s.origin[sz(expert)];
    if (displaced < 0) break;
    fits = std::min<std::int64_t>(fits, counts[sz(displaced)]);
    replica = s.by[sz(edges.rank[sz(displaced)])];
  }
  fits = std::min<std::int64_t>(fits, s.left[sz(expert)]);
  const auto moved = static_cast<std::int32_t>(fits);
  s.left[sz(expert)] -= moved;
  s.room[sz(rank)] -= moved;
  for (auto replica = s.by[sz(rank)];;) {
    counts[sz(replica)] += moved;
    const auto displaced = s.origin[sz(edges.expert[sz(replica)])];
    if (displaced < 0) break;
    counts[sz(displaced)] -= moved;
    replica = s.by[sz(edges.rank[sz(displaced)])];
  }
}

}  // namespace

ReplicaEdges::ReplicaEdges(std::vector<std::int32_t> first_of, std::vector<std::int32_t> ranks_of,
                           int ranks)
    : first(std::move(first_of)),
      rank(std::move(ranks_of)),
      from(static_cast<std::size_t>(ranks) + 1, 0),
      held(rank.size()) {
  for (std::size_t e = 0; e + 1 < first.size(); ++e)
    expert.insert(expert.end(), sz(first[e + 1] - first[e]), static_cast<std::int32_t>(e));
  for (const auto one : rank) ++from[sz(one) + 1];
  for (std::size_t r = 1; r < from.size(); ++r) from[r] += from[r - 1];
  auto next = from;
  for (std::size_t i = 0; i < rank.size(); ++i)
    held[sz(next[sz(rank[i])]++)] = static_cast<std::int32_t>(i);
}

double least_split(const RankCurves& curves, const ReplicaEdges& edges,
                   std::span<const std::int32_t> tokens, std::span<std::int64_t> load,
                   std::span<std::int32_t> counts, LeastSplitScratch& s) {
  const auto ranks = load.size();
  s.room.resize(ranks);
  s.by.resize(ranks);
  s.some.clear();
  s.left.assign(tokens.begin(), tokens.end());
  s.origin.resize(tokens.size());
  double level = 0;
  std::int64_t all = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    level = std::max(level, curves.seconds(static_cast<int>(r), load[r]));
    all += load[r];
    s.some.push_back(static_cast<std::int32_t>(r));
  }
  for (const auto one : tokens) all += one;
  level = curves.least_seconds(s.some, all, level);
  for (std::size_t r = 0; r < ranks; ++r)
    s.room[r] =
        std::max<std::int64_t>(0, curves.tokens_within(static_cast<int>(r), level) - load[r]);
  for (std::size_t e = 0; e < tokens.size(); ++e) {
    const auto copies = edges.first[e + 1] - edges.first[e];
    for (std::int32_t i = 0; i < copies; ++i) {
      const auto replica = sz(edges.first[e] + i);
      auto& room = s.room[sz(edges.rank[replica])];
      const auto share = tokens[e] / copies + (i < tokens[e] % copies);
      counts[replica] = static_cast<std::int32_t>(std::min<std::int64_t>(share, room));
      room -= counts[replica];
      s.left[e] -= counts[replica];
    }
  }
  while (true) {
    const auto rank = reach(edges, counts, s);
    if (rank >= 0) {
      augment(edges, rank, counts, s);
      continue;
    }
    // The ranks reached are full and all that they hold can go nowhere else.
    std::int64_t need = 0;
    for (const auto left : s.left) need += left;
    if (need == 0) break;
    s.some.clear();
    for (std::size_t r = 0; r < ranks; ++r) {
      if (s.by[r] < 0) continue;
      s.some.push_back(static_cast<std::int32_t>(r));
      need += curves.tokens_within(static_cast<int>(r), level);
    }
    const auto next = curves.least_seconds(s.some, need, level);
    for (std::size_t r = 0; r < ranks; ++r)
      s.room[r] += curves.tokens_within(static_cast<int>(r), next) -
                   curves.tokens_within(static_cast<int>(r), level);
    level = next;
  }
  for (std::size_t i = 0; i < counts.size(); ++i) load[sz(edges.rank[i])] += counts[i];
  return level;
}

}  // namespace gembench::inline cost
