#include "placement/cost/water_fill.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gembench::inline cost {
namespace {

constexpr int kMostGuesses = 24;  // of a level; four or five are enough if curves are lines

}  // namespace

WaterFill::WaterFill(const CostModel& cost)
    : curves_(cost), experts_(cost.kind() == CostKind::per_expert), slots_(cost.slots()) {}

void WaterFill::clear(WaterFillScratch& scratch) const {
  const auto count = static_cast<std::size_t>(ranks());
  scratch.load.assign(count, 0);
  scratch.seconds.resize(count);
  for (std::size_t r = 0; experts_ && r < count; ++r)
    scratch.seconds[r] = curves_.idle(static_cast<int>(r));
}

double WaterFill::finish(int rank, std::int32_t tokens, const WaterFillScratch& scratch) const {
  const auto r = static_cast<std::size_t>(rank);
  if (!experts_) return curves_.seconds(rank, scratch.load[r] + tokens);
  return scratch.seconds[r] + (curves_.seconds(rank, tokens * slots_) - curves_.idle(rank)) /
                                  static_cast<double>(slots_);
}

void WaterFill::add(int rank, std::int32_t before, std::int32_t tokens,
                    WaterFillScratch& scratch) const {
  const auto r = static_cast<std::size_t>(rank);
  scratch.load[r] += tokens;
  if (experts_)
    scratch.seconds[r] += (curves_.seconds(rank, (before + std::int64_t{tokens}) * slots_) -
                           curves_.seconds(rank, before * slots_)) /
                          static_cast<double>(slots_);
}

/// Tokens that the rank can finish within `level`, at most `most`.
std::int32_t WaterFill::room(int rank, double level, std::int32_t most,
                             const WaterFillScratch& scratch) const {
  const auto r = static_cast<std::size_t>(rank);
  if (experts_)
    level = curves_.idle(rank) + static_cast<double>(slots_) * (level - scratch.seconds[r]);
  const auto load = curves_.load_within(rank, level);
  if (load < 0) return 0;
  const auto tokens =
      experts_ ? load / static_cast<double>(slots_) : load - static_cast<double>(scratch.load[r]);
  return tokens >= most ? most : tokens <= 0 ? 0 : static_cast<std::int32_t>(tokens);
}

void WaterFill::level(std::int32_t tokens, std::span<const std::int32_t> hosts, std::size_t first,
                      std::span<std::int32_t> counts, WaterFillScratch& scratch) const {
  if (tokens == 0) return std::fill(counts.begin(), counts.end(), 0);
  const auto count = hosts.size();
  const auto wanted = std::int64_t{tokens};
  auto& low = scratch.low;
  auto& high = scratch.high;
  auto& middle = scratch.middle;
  low.assign(count, 0);
  high.resize(count);
  middle.resize(count);
  const auto fill = [&](std::vector<std::int32_t>& rooms, double level) {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < count; ++i)
      sum += rooms[i] = room(hosts[i], level, tokens, scratch);
    return sum;
  };
  // Between no tokens at all and all on the host that is done with them first.
  std::size_t quickest = 0;
  auto from = finish(hosts[0], 0, scratch);
  auto to = finish(hosts[0], tokens, scratch);
  for (std::size_t i = 1; i < count; ++i) {
    from = std::min(from, finish(hosts[i], 0, scratch));
    const auto alone = finish(hosts[i], tokens, scratch);
    if (alone >= to) continue;
    to = alone;
    quickest = i;
  }
  const auto all_on_one = to;
  std::int64_t sum_low = 0;
  fill(high, to);
  high[quickest] = tokens;
  auto sum_high = std::accumulate(high.begin(), high.end(), std::int64_t{0});
  for (int guess = 0; guess < kMostGuesses && sum_high - sum_low > 1; ++guess) {
    // By linear interpolation, which solves a line in one step; every third time by bisection,
    // which always converges.
    const auto share = guess % 3 == 2 ? 0.5
                                      : static_cast<double>(wanted - sum_low) /
                                            static_cast<double>(sum_high - sum_low);
    const auto at_level = from + (to - from) * share;
    if (!(at_level > from && at_level < to)) break;
    const auto sum = fill(middle, at_level);
    if (sum >= wanted) {
      to = at_level;
      sum_high = sum;
      high.swap(middle);
    } else {
      from = at_level;
      sum_low = sum;
      low.swap(middle);
    }
    if (sum >= wanted - static_cast<std::int64_t>(count) && sum <= wanted) break;
  }
  // The tokens left over by the lower level, where the curves jump between the two levels: in
  // proportion to the room at the higher level; the last tokens one by one to where they finish
  // first.
  auto left = wanted - sum_low;
  const auto over = left > static_cast<std::int64_t>(count) ? left : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto more = over * (high[i] - low[i]) / (sum_high - sum_low);
    counts[i] = low[i] + static_cast<std::int32_t>(more);
    left -= more;
  }
  for (; left > 0; --left) {
    auto best = first % count;
    auto soonest = finish(hosts[best], counts[best] + 1, scratch);
    for (std::size_t i = 0; i < count; ++i) {
      const auto done = finish(hosts[i], counts[i] + 1, scratch);
      if (done >= soonest) continue;
      soonest = done;
      best = i;
    }
    ++counts[best];
  }
  if (!experts_) return;
  double slowest = 0;
  for (std::size_t i = 0; i < count; ++i)
    slowest = std::max(slowest, finish(hosts[i], counts[i], scratch));
  if (all_on_one > slowest) return;
  std::fill(counts.begin(), counts.end(), 0);
  counts[quickest] = tokens;
}

}  // namespace gembench::inline cost
