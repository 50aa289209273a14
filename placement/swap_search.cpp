#include "placement/swap_search.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gembench {
namespace {

// A swap must gain more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-10;

}  // namespace

template <class Units>
SwapSearch<Units>::SwapSearch(const LayerProblem& problem, const Assignment& start, Isa isa)
    : p_(&problem),
      state_(problem, start),
      enough_(kLeastGain * state_.value()),
      view_(problem, state_, isa),
      changed_at_(problem.ranks, clock_),
      quiet_at_(problem.ranks * problem.ranks, 0) {}

template <class Units>
std::vector<double> SwapSearch<Units>::gains(std::size_t a, std::size_t b) {
  constexpr auto kAny = std::numeric_limits<double>::infinity();
  std::vector<double> result;
  const bool can_gain = view_.look(a, b, enough_);
  for (std::size_t i = 0; i < p_->slots; ++i) {
    if (can_gain) view_.take_out(i);
    for (std::size_t j = 0; j < p_->slots; ++j)
      result.push_back((can_gain ? view_.gain_in_critical(j, -kAny) : 0) -
                       view_.remaining_loss(i, j, kAny));
  }
  return result;
}

template <class Units>
std::size_t SwapSearch<Units>::look_again() {
  looked_at_ = 0;
  ++clock_;
  round(true);
  return looked_at_;
}

template <class Units>
void SwapSearch<Units>::swap(std::size_t a, std::size_t i, std::size_t b, std::size_t j) {
  if (held_[0][i] || held_[1][j]) return;  // a kick's
  state_.swap(a, i, b, j, view_.foreign(1, j), view_.foreign(0, i));
  changed_at_[a] = changed_at_[b] = ++clock_;
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

/// The best exchange of a pair of ranks that saves more than `least`; saves no more where there is
/// none.
template <class Units>
Swap SwapSearch<Units>::best_of(std::size_t a, std::size_t b, double least, bool into_spare) {
  Swap best{a, p_->slots, b, 0, least};
  if (!view_.look(a, b, least)) return best;
  looked_at_ += p_->slots * p_->slots;
  find_held(a, b);
  for (std::size_t i = 0; i < p_->slots; ++i) {
    if (held_[0][i]) continue;
    const bool spare = state_.member(a, i) >= p_->real;
    view_.take_out(i);
    for (std::size_t j = 0; j < p_->slots; ++j) {
      if (held_[1][j] || (into_spare && !spare && state_.member(b, j) < p_->real)) continue;
      const auto gain = view_.gain_in_critical(j, best.gain);
      if (gain <= best.gain) continue;
      const auto net = gain - view_.remaining_loss(i, j, gain - best.gain);
      if (net <= best.gain) continue;
      best = {a, i, b, j, net};
    }
  }
  return best;
}

/// The best exchange of a pair of ranks, again and again until none helps.
template <class Units>
bool SwapSearch<Units>::visit(std::size_t a, std::size_t b) {
  for (bool changed = false;; changed = true) {
    const auto best = best_of(a, b, enough_, false);
    if (best.i == p_->slots) return changed;
    swap(best.a, best.i, best.b, best.j);
  }
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
    alone[top.rank[0]] += p_->weight[t] * (top.seconds[0] - top.seconds[1]);
    if (top.rank[1] == kNoRank) continue;
    const auto [low, high] = std::minmax(top.rank[0], top.rank[1]);
    together[low * ranks + high] += p_->weight[t] * (top.seconds[1] - top.seconds[2]);
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
  Swap best;
  best.gain = enough_;
  bool found = false;
  ++clock_;  // every pair counts as not looked at
  for (const auto& pair : promising_pairs(true)) {
    if (pair.potential <= best.gain) break;
    const auto swap = best_of(pair.a, pair.b, best.gain, into_spare);
    if (swap.i == p_->slots) continue;
    best = swap;
    found = true;
  }
  return found ? std::optional(best) : std::nullopt;
}

template <class Units>
bool SwapSearch<Units>::allowed(std::size_t a, std::size_t i, std::size_t b, std::size_t j) {
  find_held(a, b);
  return !held_[0][i] && !held_[1][j];
}

template <class Units>
void SwapSearch<Units>::make(const Swap& swap) {
  view_.choose(swap.a, swap.b);
  find_held(swap.a, swap.b);
  this->swap(swap.a, swap.i, swap.b, swap.j);
}

template <class Units>
void SwapSearch<Units>::descend() {
  do {
    while (round(false)) {
    }
  } while (round(true));
}

template <class Units>
void SwapSearch<Units>::try_kick(Random& random) {
  if (p_->ranks < 2) return;
  const auto before = value();
  const auto kept = state_;
  const auto swaps = 2 + random.below(3);
  for (std::uint64_t n = 0; n < swaps; ++n) {
    // The slowest rank of a random step is a rank drawn by how often it is critical.
    const auto slowest = state_.slowest(random.below(p_->steps)).rank[0];
    const auto a = slowest == kNoRank ? random.below(p_->ranks) : slowest;
    const auto b = (a + 1 + random.below(p_->ranks - 1)) % p_->ranks;
    view_.choose(a, b);
    find_held(a, b);
    swap(a, random.below(p_->slots), b, random.below(p_->slots));
  }
  while (round(false)) {
  }
  if (value() < before - enough_) {
    descend();
    return;
  }
  state_ = kept;
  // As it was before: a local minimum, whatever was found on the way.
  std::fill(quiet_at_.begin(), quiet_at_.end(), ++clock_);
}

template class SwapSearch<std::int16_t>;
template class SwapSearch<std::int32_t>;

}  // namespace gembench
