#include "placement/search/swap_state.hpp"

#include <algorithm>
#include <utility>

#include "placement/search/search_kernels.hpp"

namespace gembench::inline search {
namespace {

constexpr std::size_t kUnknown = ~std::size_t{0};
constexpr std::size_t kMostFallen = 16;  // times the steps: memory, no more

/// Inserts a rank among the known slowest, after ranks with the same time. The last one falls out
/// if there is no place for it.
void insert(Slowest& top, std::uint32_t rank, double seconds) {
  std::size_t at = top.known;
  if (at == Slowest::kKept) {
    if (seconds <= top.seconds[--at]) return;
  } else {
    ++top.known;
  }
  for (; at > 0 && seconds > top.seconds[at - 1]; --at) {
    top.seconds[at] = top.seconds[at - 1];
    top.rank[at] = top.rank[at - 1];
  }
  top.seconds[at] = seconds;
  top.rank[at] = rank;
}

/// Takes a rank out, if it is among the known slowest.
void remove(Slowest& top, std::uint32_t rank) {
  std::size_t at = 0;
  while (at < top.known && top.rank[at] != rank) ++at;
  if (at == top.known) return;
  --top.known;
  for (; at < top.known; ++at) {
    top.seconds[at] = top.seconds[at + 1];
    top.rank[at] = top.rank[at + 1];
  }
}

}  // namespace

template <class Units>
SwapState<Units>::SwapState(const LayerProblem& problem, const Assignment& start)
    : p_(&problem),
      member_(problem.experts),
      load_(problem.ranks * problem.stride, 0),
      room_(problem.ranks * problem.stride, 0),
      room_at_(problem.ranks, kUnknown),
      cost_(problem.ranks * problem.steps),
      slowest_(problem.steps),
      level_(problem.steps),
      by_step_(problem.experts * problem.steps) {
  const auto& p = problem;
  if (p.costs.by_rank()) own_.resize(p.experts * p.stride);
  std::vector<std::size_t> used(p.ranks, 0);
  for (std::size_t e = 0; e < p.experts; ++e) {
    const auto r = static_cast<std::size_t>(start[e]);
    const auto s = used[r]++;
    member_[r * p.slots + s] = static_cast<std::uint32_t>(e);
    if (p.costs.by_rank()) fill_units(p, r, e, own_.data() + (r * p.slots + s) * p.stride);
    const auto* row = units(r, s);
    for (std::size_t t = 0; t < p.steps; ++t) {
      load_[r * p.stride + t] += row[t];
      by_step_[t * p.experts + r * p.slots + s] = row[t];
    }
  }
  for (std::size_t r = 0; r < p.ranks; ++r)
    for (std::size_t t = 0; t < p.steps; ++t)
      cost_[t * p.ranks + r] = p.costs.of(r)(load_[r * p.stride + t]);
  for (std::size_t t = 0; t < p.steps; ++t) {
    rank_step(t);
    level_[t] = static_cast<std::uint32_t>(p.costs.level(slowest_[t].seconds[0]));
  }
  list_critical();
}

template <class Units>
void SwapState<Units>::rank_step(std::size_t t) {
  Slowest top;
  const auto* cost = cost_.data() + t * p_->ranks;
  for (std::uint32_t r = 0; r < p_->ranks; ++r) insert(top, r, cost[r]);
  slowest_[t] = top;
}

/// The slowest after the costs of two ranks changed. No rank that is not known is slower than the
/// last known one was, so all ranks are looked at only where too few are left.
template <class Units>
void SwapState<Units>::update_step(std::size_t t, std::size_t a, std::size_t b) {
  auto& top = slowest_[t];
  const auto floor = top.seconds[top.known - 1];
  const auto* cost = cost_.data() + t * p_->ranks;
  for (const auto r : {a, b}) remove(top, static_cast<std::uint32_t>(r));
  for (const auto r : {a, b})
    if (cost[r] >= floor && cost[r] > 0) insert(top, static_cast<std::uint32_t>(r), cost[r]);
  if (top.known < Slowest::kNeeded) rank_step(t);
}

template <class Units>
void SwapState<Units>::make_room(std::size_t t, std::size_t r) {
  const auto at = r * p_->stride + t;
  room_[at] = room_units<Units>(p_->costs.load_within(r, level_[t]), load_[at]);
}

template <class Units>
const Units* SwapState<Units>::room(std::size_t rank) {
  auto& at = room_at_[rank];
  if (at == kUnknown || fallen_.size() - at >= p_->steps) {
    for (std::size_t t = 0; t < p_->steps; ++t) make_room(t, rank);
  } else {
    for (; at < fallen_.size(); ++at) make_room(fallen_[at], rank);
  }
  at = fallen_.size();
  return room_.data() + rank * p_->stride;
}

template <class Units>
void SwapState<Units>::list_critical() {
  begin_.assign(p_->ranks + 1, 0);
  critical_.resize(p_->steps);
  for (const auto& top : slowest_)
    if (top.rank[0] != kNoRank) ++begin_[top.rank[0] + 1];
  for (std::size_t r = 0; r < p_->ranks; ++r) begin_[r + 1] += begin_[r];
  auto next = begin_;
  for (std::uint32_t t = 0; t < p_->steps; ++t)
    if (slowest_[t].rank[0] != kNoRank) critical_[next[slowest_[t].rank[0]]++] = t;
}

template <class Units>
double SwapState<Units>::value() const {
  double sum = 0;
  for (std::size_t t = 0; t < p_->steps; ++t) sum += slowest_[t].seconds[0];
  return sum;
}

template <class Units>
Assignment SwapState<Units>::assignment() const {
  Assignment result(p_->experts);
  for (std::size_t at = 0; at < p_->experts; ++at)
    result[member_[at]] = static_cast<std::int32_t>(at / p_->slots);
  return result;
}

template <class Units>
void SwapState<Units>::swap(std::size_t a, std::size_t i, std::size_t b, std::size_t j,
                            const Units* a_in, const Units* b_in) {
  const auto& p = *p_;
  const auto* a_out = units(a, i);
  const auto* b_out = units(b, j);
  if (!p.costs.by_rank()) {
    a_in = b_out;
    b_in = a_out;
  }
  const auto& cost_a = p.costs.of(a);
  const auto& cost_b = p.costs.of(b);
  auto* load_a = load_.data() + a * p.stride;
  auto* load_b = load_.data() + b * p.stride;
  for (std::size_t t = 0; t < p.steps; ++t) {
    by_step_[t * p.experts + a * p.slots + i] = a_in[t];
    by_step_[t * p.experts + b * p.slots + j] = b_in[t];
    load_a[t] += a_in[t] - a_out[t];
    load_b[t] += b_in[t] - b_out[t];
    auto& seconds_a = cost_[t * p.ranks + a];
    auto& seconds_b = cost_[t * p.ranks + b];
    auto& top = slowest_[t];
    const auto slower = std::max(seconds_a, seconds_b);
    seconds_a = cost_a(load_a[t]);
    seconds_b = cost_b(load_b[t]);
    // Most steps: neither is or was among the slowest.
    if (std::max({slower, seconds_a, seconds_b}) < top.seconds[top.known - 1]) continue;
    update_step(t, a, b);
    const auto level = static_cast<std::uint32_t>(p.costs.level(top.seconds[0]));
    // Where it grew, the others have slightly more room than recorded.
    if (level < level_[t]) fallen_.push_back(static_cast<std::uint32_t>(t));
    level_[t] = level;
  }
  room_at_[a] = room_at_[b] = kUnknown;
  if (fallen_.size() > kMostFallen * p.steps) {
    fallen_.clear();
    std::fill(room_at_.begin(), room_at_.end(), kUnknown);
  }
  std::swap(member_[a * p.slots + i], member_[b * p.slots + j]);
  if (p.costs.by_rank()) {
    std::copy_n(a_in, p.stride, own_.data() + (a * p.slots + i) * p.stride);
    std::copy_n(b_in, p.stride, own_.data() + (b * p.slots + j) * p.stride);
  }
  list_critical();
}

template class SwapState<std::int16_t>;
template class SwapState<std::int32_t>;

}  // namespace gembench::inline search
