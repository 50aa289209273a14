#include "placement/search/swap_state.hpp"

#include <algorithm>
#include <utility>

#include "placement/search/search_kernels.hpp"

namespace gembench::inline search {
namespace {

/// Inserts a rank among the slowest, after ranks with the same time.
void insert(Slowest& top, std::uint32_t rank, double seconds) {
  if (seconds <= top.seconds[2]) return;
  std::size_t at = 2;
  for (; at > 0 && seconds > top.seconds[at - 1]; --at) {
    top.seconds[at] = top.seconds[at - 1];
    top.rank[at] = top.rank[at - 1];
  }
  top.seconds[at] = seconds;
  top.rank[at] = rank;
}

}  // namespace

template <class Units>
SwapState<Units>::SwapState(const LayerProblem& problem, const Assignment& start)
    : p_(&problem),
      member_(problem.experts),
      load_(problem.ranks * problem.stride, 0),
      room_(problem.ranks * problem.stride, 0),
      cost_(problem.ranks * problem.steps),
      slowest_(problem.steps),
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
    const auto level = p.costs.level(slowest_[t].seconds[0]);
    for (std::size_t r = 0; r < p.ranks; ++r) make_room(t, level, r);
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

/// The three slowest after the costs of two ranks changed. No other rank is slower than the third
/// was, so all ranks are checked only if one of the two left a place that neither fills.
template <class Units>
void SwapState<Units>::update_step(std::size_t t, std::size_t a, std::size_t b) {
  const auto& before = slowest_[t];
  const auto* cost = cost_.data() + t * p_->ranks;
  Slowest top;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < 3; ++i)
    if (before.rank[i] != kNoRank && before.rank[i] != a && before.rank[i] != b)
      insert(top, before.rank[i], before.seconds[i]), ++kept;
  if (kept == 3 && std::max(cost[a], cost[b]) <= before.seconds[2]) return;
  insert(top, static_cast<std::uint32_t>(a), cost[a]);
  insert(top, static_cast<std::uint32_t>(b), cost[b]);
  if (top.seconds[2] < before.seconds[2])
    rank_step(t);
  else
    slowest_[t] = top;
}

template <class Units>
void SwapState<Units>::make_room(std::size_t t, std::size_t level, std::size_t r) {
  const auto at = r * p_->stride + t;
  room_[at] = room_units<Units>(p_->costs.load_within(r, level), load_[at]);
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
    cost_[t * p.ranks + a] = cost_a(load_a[t]);
    cost_[t * p.ranks + b] = cost_b(load_b[t]);
    const auto before = slowest_[t].seconds[0];
    update_step(t, a, b);
    const auto now = slowest_[t].seconds[0];
    const auto level = p.costs.level(now);
    if (now < before) {  // where it grew, the others have slightly more room than recorded
      for (std::size_t r = 0; r < p.ranks; ++r) make_room(t, level, r);
    } else {
      make_room(t, level, a);
      make_room(t, level, b);
    }
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
