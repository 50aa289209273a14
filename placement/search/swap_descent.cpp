#include "placement/search/swap_descent.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gembench::inline search {
namespace {

constexpr std::size_t kSlotsAPulse = 16;

}  // namespace

template <class Units>
SwapSearch<Units>::SwapSearch(const LayerProblem& problem, const Assignment& start, Isa isa,
                              std::size_t most_swaps, double least_gain)
    : p_(&problem),
      state_(problem, start),
      least_gain_(least_gain),
      enough_(least_gain * state_.value()),
      view_(problem, state_, isa),
      most_swaps_(most_swaps * problem.experts),
      changed_at_(problem.ranks, clock_),
      quiet_at_(problem.ranks * problem.ranks, 0) {}

template <class Units>
std::vector<double> SwapSearch<Units>::gains(std::size_t a, std::size_t b) {
  constexpr auto kAny = std::numeric_limits<double>::infinity();
  std::vector<double> result;
  const bool can_gain = view_.look(a, b, 0);
  for (std::size_t i = 0; i < p_->slots; ++i) {
    if (can_gain) view_.take_out(i);
    for (std::size_t j = 0; j < p_->slots; ++j)
      result.push_back((can_gain ? view_.gain_in_critical(j, -kAny).value() : 0) -
                       view_.remaining_loss(i, j, kAny).value());
  }
  return result;
}

template <class Units>
std::size_t SwapSearch<Units>::look_again() {
  const auto before = work_.looks;
  swaps_left_ = most_swaps_;
  ++clock_;
  round(true);
  return work_.looks - before;
}

/// The state after a swap of the pair in view.
template <class Units>
void SwapSearch<Units>::exchange(const Swap& swap) {
  state_.swap(swap.a, swap.i, swap.b, swap.j, view_.foreign(1, swap.j), view_.foreign(0, swap.i));
}

template <class Units>
void SwapSearch<Units>::tick(const Swap& swap) {
  changed_at_[swap.a] = changed_at_[swap.b] = ++clock_;
}

template <class Units>
std::optional<double> SwapSearch<Units>::take(const Swap& swap) {
  if (!allowed(swap.a, swap.i, swap.b, swap.j)) return std::nullopt;
  const auto before = value();
  view_.choose(swap.a, swap.b);
  exchange(swap);
  const auto saved = before - value();
  if (saved > 0 && saved >= enough_) {
    tick(swap);
    ++work_.taken;
    if (on_swap) on_swap(swap, saved);
    return saved;
  }
  view_.choose(swap.a, swap.b);  // others are in the slots now
  exchange(swap);
  ++work_.undone;
  return std::nullopt;
}

template <class Units>
void SwapSearch<Units>::make(const Swap& swap) {
  if (!allowed(swap.a, swap.i, swap.b, swap.j)) return;
  view_.choose(swap.a, swap.b);
  exchange(swap);
  tick(swap);
  if (on_swap) on_swap(swap, 0);
}

template <class Units>
void SwapSearch<Units>::find_held(std::size_t a, std::size_t b) {
  for (auto& held : held_) held.assign(p_->slots, 0);
  if (p_->replica_of.empty()) return;
  for (std::size_t i = 0; i < p_->slots; ++i) {
    const auto x = state_.member(a, i);
    if (x >= p_->real) continue;
    for (std::size_t j = 0; j < p_->slots; ++j) {
      const auto y = state_.member(b, j);
      if (y < p_->real && p_->replica_of[x] == p_->replica_of[y]) held_[0][i] = held_[1][j] = 1;
    }
  }
}

/// The best exchange of a pair of ranks that saves more than `least`.
template <class Units>
std::optional<Swap> SwapSearch<Units>::best_of(std::size_t a, std::size_t b, double least,
                                               bool into_spare) {
  if (!view_.look(a, b, least)) return std::nullopt;
  find_held(a, b);
  std::optional<Swap> best;
  for (std::size_t i = 0; i < p_->slots; ++i) {
    if (p_->pulse && i % kSlotsAPulse == 0) p_->pulse();
    if (held_[0][i]) continue;
    const bool spare = state_.member(a, i) >= p_->real;
    view_.take_out(i);
    work_.looks += p_->slots;
    for (std::size_t j = 0; j < p_->slots; ++j) {
      if (held_[1][j] || (into_spare && !spare && state_.member(b, j) < p_->real)) continue;
      const auto gain = view_.gain_in_critical(j, least);
      if (!gain) continue;
      const auto loss = view_.remaining_loss(i, j, *gain - least);
      if (!loss || !(*gain - *loss > least)) continue;
      least = *gain - *loss;
      best = {a, i, b, j, least};
    }
  }
  return best;
}

/// The best exchange of a pair of ranks, again and again until none helps.
template <class Units>
bool SwapSearch<Units>::visit(std::size_t a, std::size_t b) {
  bool changed = false;
  while (swaps_left_ > 0) {
    const auto best = best_of(a, b, enough_, false);
    if (!best || !take(*best)) break;
    --swaps_left_;
    changed = true;
  }
  return changed;
}

/// Pairs of ranks that could gain anything, those first that could gain most: pairs with a rank
/// that changed since nothing was found there; or every pair not looked at since the last swap.
template <class Units>
auto SwapSearch<Units>::promising_pairs(bool everyone) const -> std::vector<Pair> {
  const auto ranks = p_->ranks;
  // What a pair can gain at most: steps in which it holds the slowest rank, up to the slowest
  // other.
  std::vector<double> alone(ranks, 0);
  std::vector<double> together(ranks * ranks, 0);
  for (std::size_t t = 0; t < p_->steps; ++t) {
    const auto& top = state_.slowest(t);
    if (top.rank[0] == kNoRank) continue;
    alone[top.rank[0]] += top.seconds[0] - top.seconds[1];
    if (top.rank[1] == kNoRank) continue;
    const auto [low, high] = std::minmax(top.rank[0], top.rank[1]);
    together[low * ranks + high] += top.seconds[1] - top.seconds[2];
  }
  const auto is_due = [&](std::size_t a, std::size_t b) {
    return quiet_at_[a * ranks + b] <
           (everyone ? clock_ : std::max(changed_at_[a], changed_at_[b]));
  };
  std::vector<Pair> pairs;
  for (std::size_t a = 0; a < ranks; ++a)
    for (std::size_t b = a + 1; b < ranks; ++b) {
      const auto potential = alone[a] + alone[b] + together[a * ranks + b];
      if (potential > enough_ && is_due(a, b)) pairs.push_back({potential, a, b});
    }
  std::sort(pairs.begin(), pairs.end(), [&](const Pair& x, const Pair& y) {
    return x.potential > y.potential ||
           (x.potential == y.potential && x.a * ranks + x.b < y.a * ranks + y.b);
  });
  return pairs;
}

template <class Units>
bool SwapSearch<Units>::round(bool everyone) {
  bool changed = false;
  for (const auto& pair : promising_pairs(everyone)) {
    changed = visit(pair.a, pair.b) || changed;
    quiet_at_[pair.a * p_->ranks + pair.b] = clock_;
  }
  return changed;
}

template <class Units>
std::optional<Swap> SwapSearch<Units>::steepest(bool into_spare) {
  std::optional<Swap> best;
  ++clock_;  // every pair counts as not checked
  for (const auto& pair : promising_pairs(true)) {
    const auto least = best ? best->gain : enough_;
    if (pair.potential <= least) break;
    if (const auto better = best_of(pair.a, pair.b, least, into_spare)) best = better;
  }
  return best;
}

template <class Units>
bool SwapSearch<Units>::allowed(std::size_t a, std::size_t i, std::size_t b, std::size_t j) {
  find_held(a, b);
  return !held_[0][i] && !held_[1][j];
}

template <class Units>
void SwapSearch<Units>::descend() {
  swaps_left_ = most_swaps_;
  do {
    while (round(false)) {
    }
  } while (least_gain_ <= kLeastGain && round(true));
}

template <class Units>
void SwapSearch<Units>::try_perturbation(Random& random) {
  if (p_->ranks < 2) return;
  const auto before = value();
  const auto kept = state_;
  const auto swaps = 2 + random.below(3);
  for (std::uint64_t n = 0; n < swaps; ++n) {
    // The slowest rank of a random step is a rank drawn by how often it is critical.
    const auto slowest = state_.slowest(random.below(p_->steps)).rank[0];
    const auto a = slowest == kNoRank ? random.below(p_->ranks) : slowest;
    const auto b = (a + 1 + random.below(p_->ranks - 1)) % p_->ranks;
    const auto j = random.below(p_->slots);
    const auto i = random.below(p_->slots);
    make({a, i, b, j, 0});
  }
  swaps_left_ = most_swaps_;
  while (round(false)) {
  }
  if (value() < before - enough_) {
    descend();
    return;
  }
  state_ = kept;
  // The state before the perturbation: a local minimum.
  std::fill(quiet_at_.begin(), quiet_at_.end(), ++clock_);
}

template class SwapSearch<std::int16_t>;
template class SwapSearch<std::int32_t>;

}  // namespace gembench::inline search
