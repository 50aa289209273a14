#include "placement/swap_search.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace gembench {
namespace {

// A swap must gain more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-10;
constexpr std::size_t kChunk = 4;  // words of steps between two looks at what a swap loses

}  // namespace

template <class Units>
SwapSearch<Units>::SwapSearch(const LayerProblem& problem, const Assignment& start, Isa isa)
    : p_(&problem),
      mask_of_(step_mask<Units>(isa)),
      gain_in_(critical_gain(isa)),
      state_(problem, start),
      enough_(kLeastGain * state_.value()),
      mask_(problem.stride / 64),
      changed_at_(problem.ranks, clock_),
      quiet_at_(problem.ranks * problem.ranks, 0) {
  view_.mask.resize(mask_.size());
  if (!problem.costs.by_rank()) return;
  foreign_.resize(2 * problem.slots * problem.stride);
  foreign_known_.resize(2 * problem.slots);
}

/// Units of an expert of one rank of the pair (side 0: of a) on the other.
template <class Units>
const Units* SwapSearch<Units>::foreign(std::size_t side, std::size_t s) {
  const auto home = side == 0 ? view_.a : view_.b;
  if (!p_->costs.by_rank()) return state_.units(home, s);
  const auto at = side * p_->slots + s;
  auto* row = foreign_.data() + at * p_->stride;
  if (!foreign_known_[at])
    fill_units(*p_, side == 0 ? view_.b : view_.a, state_.member(home, s), row);
  foreign_known_[at] = 1;
  return row;
}

template <class Units>
void SwapSearch<Units>::view_pair(std::size_t a, std::size_t b) {
  auto& v = view_;
  v.a = a;
  v.b = b;
  std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
  v.step.clear();
  std::fill(v.mask.begin(), v.mask.end(), 0);
  const auto most = state_.critical(a).size() + state_.critical(b).size() + kLanes;
  v.step.resize(most);
  for (auto* values : {&v.others, &v.now, &v.weight, &v.load_a, &v.load_b}) values->resize(most);
  const auto* load_a = state_.load(a);
  const auto* load_b = state_.load(b);
  std::size_t n = 0;
  auto least = std::numeric_limits<double>::infinity();
  for (auto r : {a, b})
    for (auto t : state_.critical(r)) {
      const auto& top = state_.slowest(t);
      const bool both = top.rank[1] == a || top.rank[1] == b;
      const auto others = top.seconds[both ? 2 : 1];
      if (others >= top.seconds[0]) continue;  // a third rank is as slow: nothing to gain
      v.step[n] = t;
      v.others[n] = others;
      v.now[n] = top.seconds[0];
      v.weight[n] = p_->weight[t];
      v.load_a[n] = load_a[t];
      v.load_b[n] = load_b[t];
      v.mask[t / 64] |= std::uint64_t{1} << (t % 64);
      least = std::min(least, others);
      ++n;
    }
  v.step.resize(n);
  v.count = (n + kLanes - 1) / kLanes * kLanes;
  for (auto* values : {&v.others, &v.now, &v.weight, &v.load_a, &v.load_b})
    std::fill(values->begin() + static_cast<std::ptrdiff_t>(n), values->end(), 0.0);
  v.rest.assign(v.count / kGainBlock + 2, 0);
  for (std::size_t k = v.count; k-- > 0;)
    v.rest[k / kGainBlock] += v.weight[k] * (v.now[k] - v.others[k]);
  for (auto block = v.rest.size() - 1; block-- > 0;) v.rest[block] += v.rest[block + 1];
  if (v.rest[0] <= enough_) return;

  v.a_kept.resize(v.count);
  v.b_with.resize(v.count);
  view_units();
  // Of the curves only what can matter: seconds below the slowest other rank need not be right,
  // only low, and no load is larger than the largest with the largest expert.
  const auto level = p_->costs.level(least);
  const auto most_a = *std::max_element(v.load_a.begin(), v.load_a.end()) + v.most_units;
  const auto most_b = *std::max_element(v.load_b.begin(), v.load_b.end()) + v.most_units;
  v.cost_a = p_->costs.of(a).lines(p_->costs.load_within(a, level), most_a);
  v.cost_b = p_->costs.of(b).lines(p_->costs.load_within(b, level), most_b);
}

template <class Units>
void SwapSearch<Units>::view_units() {
  auto& v = view_;
  v.most_units = 0;
  const bool by_rank = p_->costs.by_rank();
  for (std::size_t side = 0; side < 2; ++side) {
    const auto home = side == 0 ? v.a : v.b;
    const auto other = side == 0 ? v.b : v.a;
    auto& here = v.units[2 * side];
    auto& there = v.units[2 * side + 1];
    here.resize(p_->slots * v.count);
    if (by_rank) there.resize(p_->slots * v.count);
    auto* out = here.data();
    for (std::size_t k = 0; k < v.step.size(); ++k) {
      const auto* units = state_.units_at(v.step[k], home);
      for (std::size_t s = 0; s < p_->slots; ++s) out[s * v.count + k] = units[s];
    }
    for (std::size_t s = 0; s < p_->slots; ++s) {
      std::fill(out + s * v.count + v.step.size(), out + (s + 1) * v.count, 0.0);
      if (!by_rank) continue;
      const auto expert = state_.member(home, s);
      auto* row = there.data() + s * v.count;
      for (std::size_t k = 0; k < v.step.size(); ++k)
        row[k] = p_->costs.units(other, p_->tokens(expert, v.step[k]));
      std::fill(row + v.step.size(), row + v.count, 0.0);
    }
    const auto used = static_cast<std::ptrdiff_t>(p_->slots * v.count);
    v.most_units = std::max(v.most_units, *std::max_element(here.begin(), here.begin() + used));
    if (by_rank)
      v.most_units = std::max(v.most_units, *std::max_element(there.begin(), there.begin() + used));
  }
}

/// Makes the view ready for exchanges of slot i of rank a.
template <class Units>
void SwapSearch<Units>::take_out(std::size_t i) {
  auto& v = view_;
  const auto* a_out = v.units[0].data() + i * v.count;
  const auto* b_in = p_->costs.by_rank() ? v.units[1].data() + i * v.count : a_out;
  for (std::size_t k = 0; k < v.count; ++k) {
    v.a_kept[k] = v.load_a[k] - a_out[k];
    v.b_with[k] = v.load_b[k] + b_in[k];
  }
}

/// Seconds saved in the critical steps by the expert taken out for slot j of rank b; `enough` when
/// that is seen not to be above it.
template <class Units>
double SwapSearch<Units>::gain_in_critical(std::size_t j, double enough) const {
  const auto& v = view_;
  const auto* b_out = v.units[2].data() + j * v.count;
  const auto* a_in = p_->costs.by_rank() ? v.units[3].data() + j * v.count : b_out;
  return gain_in_({v.count, v.others.data(), v.now.data(), v.weight.data(), v.rest.data(),
                   v.a_kept.data(), a_in, v.b_with.data(), b_out, v.cost_a, v.cost_b},
                  enough);
}

/// Seconds lost in the steps that are not critical; stops once it is `most` or more.
template <class Units>
double SwapSearch<Units>::remaining_loss(std::size_t i, std::size_t j, double most) {
  const auto a = view_.a;
  const auto b = view_.b;
  const Exchange<Units> x{state_.units(a, i), foreign(1, j),  state_.units(b, j),
                          foreign(0, i),      state_.room(a), state_.room(b)};
  const auto* load_a = state_.load(a);
  const auto* load_b = state_.load(b);
  const auto& cost_a = p_->costs.of(a);
  const auto& cost_b = p_->costs.of(b);
  double lost = 0;
  for (std::size_t word = 0; word < mask_.size() && lost < most; word += kChunk) {
    const auto from = word * 64;
    const Exchange<Units> part{x.a_out + from, x.a_in + from,   x.b_out + from,
                               x.b_in + from,  x.a_room + from, x.b_room + from};
    const auto words = std::min(kChunk, mask_.size() - word);
    mask_of_(part, words, mask_.data() + word);
    for (auto w = word; w < word + words; ++w)
      for (auto bits = mask_[w] & ~view_.mask[w]; bits != 0; bits &= bits - 1) {
        const auto t = w * 64 + static_cast<std::size_t>(__builtin_ctzll(bits));
        const auto slower = std::max(cost_a(std::int64_t{load_a[t]} - x.a_out[t] + x.a_in[t]),
                                     cost_b(std::int64_t{load_b[t]} - x.b_out[t] + x.b_in[t]));
        const auto more = slower - state_.slowest(t).seconds[0];
        if (more > 0) lost += p_->weight[t] * more;
      }
  }
  return lost;
}

template <class Units>
std::vector<double> SwapSearch<Units>::gains(std::size_t a, std::size_t b) {
  constexpr auto kAny = std::numeric_limits<double>::infinity();
  std::vector<double> result;
  view_pair(a, b);
  const bool can_gain = view_.rest[0] > enough_;
  for (std::size_t i = 0; i < p_->slots; ++i) {
    if (can_gain) take_out(i);
    for (std::size_t j = 0; j < p_->slots; ++j)
      result.push_back((can_gain ? gain_in_critical(j, -kAny) : 0) - remaining_loss(i, j, kAny));
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
  state_.swap(a, i, b, j, foreign(1, j), foreign(0, i));
  std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
  changed_at_[a] = changed_at_[b] = ++clock_;
}

/// The best exchange of a pair of ranks, again and again until none helps.
template <class Units>
bool SwapSearch<Units>::visit(std::size_t a, std::size_t b) {
  for (bool changed = false;; changed = true) {
    view_pair(a, b);
    if (view_.rest[0] <= enough_) return changed;
    looked_at_ += p_->slots * p_->slots;
    double best = enough_;
    std::size_t best_i = p_->slots;
    std::size_t best_j = 0;
    for (std::size_t i = 0; i < p_->slots; ++i) {
      take_out(i);
      for (std::size_t j = 0; j < p_->slots; ++j) {
        const auto gain = gain_in_critical(j, best);
        if (gain <= best) continue;
        const auto net = gain - remaining_loss(i, j, gain - best);
        if (net <= best) continue;
        best = net;
        best_i = i;
        best_j = j;
      }
    }
    if (best_i == p_->slots) return changed;
    swap(a, best_i, b, best_j);
  }
}

/// Visits pairs of ranks, those first that could gain most: pairs with a rank that changed since
/// nothing was found there; or every pair not looked at since the last swap.
template <class Units>
bool SwapSearch<Units>::round(bool everyone) {
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
  struct Pair {
    double potential;
    std::size_t a, b;
  };
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
  bool changed = false;
  for (const auto& pair : pairs) {
    changed = visit(pair.a, pair.b) || changed;
    quiet_at_[pair.a * ranks + pair.b] = clock_;
  }
  return changed;
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
    view_.a = a;
    view_.b = b;
    std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
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
