#include "placement/cost/token_split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline cost {
namespace {

constexpr double kFinestShare = 1 << 16;  // of the fastest rank

/// Where rounding begins, in 2^32 parts: multiples of the golden ratio, which lie evenly.
std::uint32_t phase_of(std::size_t shift) {
  return static_cast<std::uint32_t>(shift) * 2654435769U;
}

/// Adds the tokens of a replica to where it is.
struct AddTo {
  const std::vector<std::int32_t>& where;  // [replica]
  std::span<std::int64_t> row;
  void operator()(std::size_t replica, std::int32_t count) const {
    row[static_cast<std::size_t>(where[replica])] += count;
  }
};

}  // namespace

TokenSplit::TokenSplit(const Placement& placement, SplitRule rule, const CostModel* cost)
    : layers_(placement.layers),
      ranks_(placement.ranks),
      slots_(placement.slots),
      experts_(placement.experts),
      rule_(rule) {
  validate(placement);
  const bool needs_speeds = rule == SplitRule::by_speed || needs_all_tokens(rule);
  if (needs_speeds && (!cost || cost->ranks() != ranks_))
    throw usage_error(
        fmt::format("tokens split by speed need the speeds of {} ranks; give the profile of the "
                    "ranks that are placed on",
                    ranks_));
  const auto experts = static_cast<std::size_t>(experts_);
  cell_.reserve(placement.slot_expert.size());
  first_.reserve((experts + 1) * static_cast<std::size_t>(layers_));
  first_shared_.push_back(0);
  std::vector<std::vector<std::int32_t>> cells(experts);
  for (int layer = 0; layer < layers_; ++layer) {
    for (auto& one : cells) one.clear();
    for (int rank = 0; rank < ranks_; ++rank) {
      const auto on_rank = placement.on_rank(layer, rank);
      for (int slot = 0; slot < slots_; ++slot) {
        const auto expert = on_rank[static_cast<std::size_t>(slot)];
        if (expert >= 0) cells[static_cast<std::size_t>(expert)].push_back(rank * slots_ + slot);
      }
      if (placement.repeats.empty() || needs_all_tokens(rule)) continue;
      const auto first = on_rank.data() - placement.slot_expert.data();
      for (auto at = placement.repeats.begin() + first, end = at + slots_; at != end; ++at) {
        if (*at < 0) continue;
        auto& one = cells[static_cast<std::size_t>(*at)];
        one.push_back(one.back());  // the slot on this rank
      }
    }
    for (std::size_t e = 0; e < experts; ++e) {
      auto& one = cells[e];
      if (rule != SplitRule::one_per_source)
        std::rotate(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(e % one.size()),
                    one.end());
      first_.push_back(static_cast<std::int32_t>(cell_.size()));
      cell_.insert(cell_.end(), one.begin(), one.end());
      for (auto cell : one) rank_.push_back(cell / slots_);
      if (one.size() > 1) shared_.push_back(static_cast<std::int32_t>(e));
    }
    first_.push_back(static_cast<std::int32_t>(cell_.size()));
    first_shared_.push_back(shared_.size());
  }
  if (rule == SplitRule::by_speed) find_shares(*cost);
  if (rule == SplitRule::one_per_source) count_senders();
  if (rule == SplitRule::water_fill) water_.emplace(*cost);
  if (rule == SplitRule::least) find_edges(*cost);
}

void TokenSplit::find_edges(const CostModel& cost) {
  curves_.emplace(cost);
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(layers_); ++layer) {
    const auto* first = first_.data() + layer * (static_cast<std::size_t>(experts_) + 1);
    std::vector<std::int32_t> begin{0};
    std::vector<std::int32_t> ranks;
    for (auto i = first_shared_[layer]; i < first_shared_[layer + 1]; ++i) {
      const auto e = static_cast<std::size_t>(shared_[i]);
      ranks.insert(ranks.end(), rank_.begin() + first[e], rank_.begin() + first[e + 1]);
      begin.push_back(static_cast<std::int32_t>(ranks.size()));
    }
    edges_.emplace_back(std::move(begin), std::move(ranks), ranks_);
  }
}

void TokenSplit::find_shares(const CostModel& cost) {
  std::vector<double> slope;
  for (int rank = 0; rank < ranks_; ++rank) slope.push_back(cost.mean_slope(rank));
  const auto least = *std::min_element(slope.begin(), slope.end());
  const auto weight = [&](std::int32_t rank) {  // equal if a rank's time does not grow
    const auto part = least > 0 ? least / slope[static_cast<std::size_t>(rank)] : 1;
    return std::max<std::int64_t>(1, std::llround(kFinestShare * part));
  };
  share_.resize(rank_.size());
  for (std::size_t e = 0; e + 1 < first_.size(); ++e) {
    std::int64_t sum = 0;  // nothing crosses the end of a layer: first_ repeats
    for (auto at = first_[e]; at < first_[e + 1]; ++at)
      share_[static_cast<std::size_t>(at)] = sum += weight(rank_[static_cast<std::size_t>(at)]);
  }
}

void TokenSplit::count_senders() {
  share_.resize(rank_.size());
  for (std::size_t e = 0; e + 1 < first_.size(); ++e) {
    const auto copies = first_[e + 1] - first_[e];
    for (std::int32_t i = 0, sum = 0; i < copies; ++i)  // ranks i, i + copies, ...
      share_[static_cast<std::size_t>(first_[e] + i)] = sum +=
          i < ranks_ ? (ranks_ - 1 - i) / copies + 1 : 0;
  }
}

std::optional<std::size_t> TokenSplit::only_replica(std::size_t at, std::size_t copies,
                                                    int source) const {
  if (copies == 1) return at;
  if (rule_ == SplitRule::one_per_source) return at + static_cast<std::size_t>(source) % copies;
  if (rule_ != SplitRule::local_first) return std::nullopt;
  const auto first = rank_.begin() + static_cast<std::ptrdiff_t>(at);
  const auto here = std::find(first, first + static_cast<std::ptrdiff_t>(copies), source);
  if (here == first + static_cast<std::ptrdiff_t>(copies)) return std::nullopt;
  return at + static_cast<std::size_t>(here - first);
}

template <class Add>
void TokenSplit::split(std::span<const std::int32_t> tokens, int layer, std::optional<int> source,
                       Add add) const {
  const auto shift = static_cast<std::size_t>(source.value_or(0));
  if (rule_ == SplitRule::water_fill) return fill(tokens, layer, shift, add);
  if (rule_ == SplitRule::least) return fill_least(tokens, layer, add);
  // `add` gets the index of a replica in rank_ and cell_, and its tokens.
  const auto* first = first_.data() + static_cast<std::size_t>(layer) * (tokens.size() + 1);
  for (std::size_t e = 0; e < tokens.size(); ++e) {
    const auto at = static_cast<std::size_t>(first[e]);
    const auto copies = static_cast<std::size_t>(first[e + 1]) - at;
    if (copies == 1) {
      add(at, tokens[e]);
    } else if (const auto only = source && depends_on_source() ? only_replica(at, copies, *source)
                                                               : std::nullopt) {
      add(*only, tokens[e]);
    } else if (!share_.empty()) {
      const auto all = share_[at + copies - 1];
      const auto phase = (all / 2 + ((all * phase_of(shift)) >> 32)) % all;
      std::int64_t before = 0;
      for (auto i = at; i < at + copies; ++i) {
        const auto until = (tokens[e] * share_[i] + phase) / all;
        add(i, static_cast<std::int32_t>(until - before));
        before = until;
      }
    } else {
      const auto each = tokens[e] / static_cast<std::int32_t>(copies);
      const auto one_more = static_cast<std::size_t>(tokens[e]) % copies;
      const auto turn = shift % copies;
      for (std::size_t i = 0; i < copies; ++i) {
        const auto to = turn + i < copies ? turn + i : turn + i - copies;
        add(at + to, each + (i < one_more));
      }
    }
  }
}

template <class Add>
void TokenSplit::fill(std::span<const std::int32_t> tokens, int layer, std::size_t shift,
                      Add add) const {
  thread_local WaterFillScratch scratch;
  const auto* first = first_.data() + static_cast<std::size_t>(layer) * (tokens.size() + 1);
  const auto begin = static_cast<std::size_t>(first[0]);
  const auto replicas = static_cast<std::size_t>(first[tokens.size()]) - begin;
  auto& dealt = scratch.tokens;
  dealt.assign(replicas, 0);
  scratch.fresh.resize(static_cast<std::size_t>(ranks_));
  scratch.was.resize(static_cast<std::size_t>(ranks_));
  water_->clear(scratch);
  const auto put = [&](std::size_t replica, std::int32_t count) {
    water_->add(rank_[begin + replica], dealt[replica], count - dealt[replica], scratch);
    dealt[replica] = count;
  };
  for (std::size_t e = 0; e < tokens.size(); ++e) {
    const auto at = static_cast<std::size_t>(first[e]) - begin;
    const auto copies = first[e + 1] - first[e];
    for (std::int32_t i = 0; i < copies; ++i)
      put(at + static_cast<std::size_t>(i), tokens[e] / copies + (i < tokens[e] % copies));
  }
  const auto shared_from = first_shared_[static_cast<std::size_t>(layer)];
  const auto shared = std::span(shared_).subspan(
      shared_from, first_shared_[static_cast<std::size_t>(layer) + 1] - shared_from);
  bool changed = true;
  for (int round = 0; changed && round < kWaterFillRounds; ++round) {
    changed = false;
    for (const auto expert : shared) {
      const auto e = static_cast<std::size_t>(expert);
      const auto at = static_cast<std::size_t>(first[e]) - begin;
      const auto copies = static_cast<std::size_t>(first[e + 1] - first[e]);
      const auto fresh = std::span(scratch.fresh).first(copies);
      std::copy_n(dealt.begin() + static_cast<std::ptrdiff_t>(at), copies, scratch.was.begin());
      for (std::size_t i = 0; i < copies; ++i) put(at + i, 0);
      water_->level(tokens[e], std::span(rank_).subspan(begin + at, copies), shift, fresh, scratch);
      for (std::size_t i = 0; i < copies; ++i) {
        changed = changed || fresh[i] != scratch.was[i];
        put(at + i, fresh[i]);
      }
    }
  }
  for (std::size_t i = 0; i < replicas; ++i) add(begin + i, dealt[i]);
}

template <class Add>
void TokenSplit::split(const Trace& trace, int step, int layer, Add add) const {
  if (!depends_on_source() || trace.sources != ranks_ || trace.source_tokens.empty())
    return split(trace.loads(step, layer), layer, std::nullopt, add);
  const auto experts = static_cast<std::size_t>(experts_);
  auto left = trace.source_loads(step, layer);
  for (int source = 0; source < ranks_; ++source, left = left.subspan(experts))
    split(left.first(experts), layer, source, add);
}

template <class Add>
void TokenSplit::fill_least(std::span<const std::int32_t> tokens, int layer, Add add) const {
  thread_local LeastSplitScratch scratch;
  thread_local std::vector<std::int64_t> load;    // [rank]
  thread_local std::vector<std::int32_t> shared;  // [replicated expert] tokens
  thread_local std::vector<std::int32_t> counts;  // [replica of one] tokens
  const auto* first = first_.data() + static_cast<std::size_t>(layer) * (tokens.size() + 1);
  const auto& edges = edges_[static_cast<std::size_t>(layer)];
  load.assign(static_cast<std::size_t>(ranks_), 0);
  shared.clear();
  counts.resize(edges.rank.size());
  for (std::size_t e = 0; e < tokens.size(); ++e) {
    const auto at = static_cast<std::size_t>(first[e]);
    if (first[e + 1] - first[e] > 1) {
      shared.push_back(tokens[e]);
    } else {
      load[static_cast<std::size_t>(rank_[at])] += tokens[e];
      add(at, tokens[e]);
    }
  }
  static_cast<void>(least_split(*curves_, edges, shared, load, counts, scratch));
  std::size_t next = 0;
  for (std::size_t e = 0; e < tokens.size(); ++e)
    for (auto i = first[e]; first[e + 1] - first[e] > 1 && i < first[e + 1]; ++i)
      add(static_cast<std::size_t>(i), counts[next++]);
}

void TokenSplit::rank_loads(std::span<const std::int32_t> tokens, int layer,
                            std::span<std::int64_t> row, std::optional<int> source) const {
  std::fill(row.begin(), row.end(), 0);
  split(tokens, layer, source, AddTo{rank_, row});
}

void TokenSplit::slot_loads(std::span<const std::int32_t> tokens, int layer,
                            std::span<std::int64_t> row, std::optional<int> source) const {
  std::fill(row.begin(), row.end(), 0);
  split(tokens, layer, source, AddTo{cell_, row});
}

void TokenSplit::rank_loads(const Trace& trace, int step, int layer,
                            std::span<std::int64_t> row) const {
  std::fill(row.begin(), row.end(), 0);
  split(trace, step, layer, AddTo{rank_, row});
}

void TokenSplit::slot_loads(const Trace& trace, int step, int layer,
                            std::span<std::int64_t> row) const {
  std::fill(row.begin(), row.end(), 0);
  split(trace, step, layer, AddTo{cell_, row});
}

}  // namespace gembench::inline cost
