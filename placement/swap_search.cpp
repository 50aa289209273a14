#include "placement/swap_search.hpp"

#include <utility>

namespace gembench {
namespace {

// A swap must gain more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-10;
constexpr std::size_t kChunk = 4;  // words of steps between two looks at what it loses

}  // namespace

template <class Units>
SwapSearch<Units>::SwapSearch(const LayerProblem& problem, const Assignment& start, Isa isa)
    : p_(&problem),
      mask_of_(step_mask<Units>(isa)),
      gain_in_(critical_gain(isa)),
      dirty_(problem.ranks, 1),
      mask_(problem.stride / 64) {
  view_.mask.resize(mask_.size());
  if (problem.costs.by_rank()) {
    foreign_.resize(2 * problem.slots * problem.stride);
    foreign_known_.resize(2 * problem.slots);
  }
  build(start);
  enough_ = kLeastGain * value();
}

template <class Units>
void SwapSearch<Units>::build(const Assignment& start) {
  const auto& p = *p_;
  s_.member.resize(p.experts);
  s_.load.assign(p.ranks * p.stride, 0);
  s_.room.assign(p.ranks * p.stride, 0);
  s_.cost.resize(p.ranks * p.steps);
  s_.slowest.resize(p.steps);
  if (p.costs.by_rank()) s_.own.resize(p.experts * p.stride);
  std::vector<std::size_t> used(p.ranks, 0);
  for (std::size_t e = 0; e < p.experts; ++e) {
    const auto r = static_cast<std::size_t>(start[e]);
    const auto s = used[r]++;
    s_.member[r * p.slots + s] = static_cast<std::uint32_t>(e);
    if (p.costs.by_rank()) fill_units(r, e, s_.own.data() + (r * p.slots + s) * p.stride);
    const auto* units = own(r, s);
    for (std::size_t t = 0; t < p.steps; ++t) s_.load[r * p.stride + t] += units[t];
  }
  for (std::size_t r = 0; r < p.ranks; ++r)
    for (std::size_t t = 0; t < p.steps; ++t)
      s_.cost[t * p.ranks + r] = p.costs.of(r)(s_.load[r * p.stride + t]);
  for (std::size_t t = 0; t < p.steps; ++t) {
    rank_step(t);
    const auto* within = p.costs.loads_within(s_.slowest[t].seconds[0]);
    for (std::size_t r = 0; r < p.ranks; ++r) make_room(t, within, r);
  }
  list_critical();
}

template <class Units>
void SwapSearch<Units>::fill_units(std::size_t r, std::size_t expert, Units* row) const {
  const auto* tokens = p_->template tokens_of<Units>(expert);
  for (std::size_t t = 0; t < p_->steps; ++t)
    row[t] = static_cast<Units>(p_->costs.units(r, tokens[t]));
}

template <class Units>
const Units* SwapSearch<Units>::own(std::size_t r, std::size_t s) const {
  const auto at = r * p_->slots + s;
  return p_->costs.by_rank() ? s_.own.data() + at * p_->stride
                             : p_->template tokens_of<Units>(s_.member[at]);
}

/// Units of an expert of one rank of the pair (side 0: of a) on the other.
template <class Units>
const Units* SwapSearch<Units>::foreign(std::size_t side, std::size_t s, std::size_t rank) {
  const auto home = side == 0 ? view_.a : view_.b;
  if (!p_->costs.by_rank()) return own(home, s);
  const auto at = side * p_->slots + s;
  auto* row = foreign_.data() + at * p_->stride;
  if (!foreign_known_[at]) fill_units(rank, s_.member[home * p_->slots + s], row);
  foreign_known_[at] = 1;
  return row;
}

/// The three slowest ranks of a step; the lower rank first where they tie.
template <class Units>
void SwapSearch<Units>::rank_step(std::size_t t) {
  Slowest top;
  const auto* cost = s_.cost.data() + t * p_->ranks;
  for (std::uint32_t r = 0; r < p_->ranks; ++r) {
    if (cost[r] <= top.seconds[2]) continue;
    std::size_t at = 2;
    for (; at > 0 && cost[r] > top.seconds[at - 1]; --at) {
      top.seconds[at] = top.seconds[at - 1];
      top.rank[at] = top.rank[at - 1];
    }
    top.seconds[at] = cost[r];
    top.rank[at] = r;
  }
  s_.slowest[t] = top;
}

template <class Units>
void SwapSearch<Units>::make_room(std::size_t t, const std::int32_t* within, std::size_t r) {
  const auto at = r * p_->stride + t;
  s_.room[at] = room_units<Units>(within[r], s_.load[at]);
}

template <class Units>
void SwapSearch<Units>::list_critical() {
  s_.begin.assign(p_->ranks + 1, 0);
  s_.critical.resize(p_->steps);
  for (const auto& top : s_.slowest)
    if (top.rank[0] != kNone) ++s_.begin[top.rank[0] + 1];
  for (std::size_t r = 0; r < p_->ranks; ++r) s_.begin[r + 1] += s_.begin[r];
  auto next = s_.begin;
  for (std::uint32_t t = 0; t < p_->steps; ++t)
    if (s_.slowest[t].rank[0] != kNone) s_.critical[next[s_.slowest[t].rank[0]]++] = t;
}

template <class Units>
double SwapSearch<Units>::value() const {
  double sum = 0;
  for (std::size_t t = 0; t < p_->steps; ++t) sum += p_->weight[t] * s_.slowest[t].seconds[0];
  return sum;
}

template <class Units>
Assignment SwapSearch<Units>::assignment() const {
  Assignment result(p_->experts);
  for (std::size_t at = 0; at < p_->experts; ++at)
    result[s_.member[at]] = static_cast<std::int32_t>(at / p_->slots);
  return result;
}

template <class Units>
void SwapSearch<Units>::view_pair(std::size_t a, std::size_t b) {
  auto& v = view_;
  v.a = a;
  v.b = b;
  std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
  v.step.clear();
  std::fill(v.mask.begin(), v.mask.end(), 0);
  const auto most = s_.begin[a + 1] - s_.begin[a] + s_.begin[b + 1] - s_.begin[b] + kLanes;
  for (auto* values : {&v.others, &v.now, &v.weight, &v.load_a, &v.load_b}) {
    values->clear();
    values->reserve(most);
  }
  auto least = std::numeric_limits<double>::infinity();
  for (auto r : {a, b})
    for (auto at = s_.begin[r]; at < s_.begin[r + 1]; ++at) {
      const auto t = s_.critical[at];
      const auto& top = s_.slowest[t];
      const bool both = top.rank[1] == a || top.rank[1] == b;
      const auto others = top.seconds[both ? 2 : 1];
      if (others >= top.seconds[0]) continue;  // a third rank is as slow: nothing to gain
      v.step.push_back(t);
      v.others.push_back(others);
      v.now.push_back(top.seconds[0]);
      v.weight.push_back(p_->weight[t]);
      v.load_a.push_back(s_.load[a * p_->stride + t]);
      v.load_b.push_back(s_.load[b * p_->stride + t]);
      v.mask[t / 64] |= std::uint64_t{1} << (t % 64);
      least = std::min(least, others);
    }
  v.count = (v.step.size() + kLanes - 1) / kLanes * kLanes;
  for (auto* values : {&v.others, &v.now, &v.weight, &v.load_a, &v.load_b})
    values->resize(v.count, 0);
  v.rest.assign(v.count / kGainBlock + 2, 0);
  for (std::size_t k = v.count; k-- > 0;)
    v.rest[k / kGainBlock] += v.weight[k] * (v.now[k] - v.others[k]);
  for (auto block = v.rest.size() - 1; block-- > 0;) v.rest[block] += v.rest[block + 1];
  if (v.rest[0] <= enough_) return;

  // Seconds below the slowest other rank need not be right, only low.
  const auto* within = p_->costs.loads_within(least);
  v.cost_a = p_->costs.of(a).lines_from(std::max(within[a], 0));
  v.cost_b = p_->costs.of(b).lines_from(std::max(within[b], 0));
  v.a_kept.resize(v.count);
  v.b_with.resize(v.count);
  const bool by_rank = p_->costs.by_rank();
  for (std::size_t side = 0; side < 2; ++side) {
    const auto home = side == 0 ? a : b;
    const auto other = side == 0 ? b : a;
    auto& here = v.units[2 * side];
    auto& there = v.units[2 * side + 1];
    here.assign(p_->slots * v.count, 0);
    if (by_rank) there.assign(p_->slots * v.count, 0);
    for (std::size_t s = 0; s < p_->slots; ++s) {
      const auto* units = own(home, s);
      for (std::size_t k = 0; k < v.step.size(); ++k) here[s * v.count + k] = units[v.step[k]];
      if (!by_rank) continue;
      const auto expert = s_.member[home * p_->slots + s];
      for (std::size_t k = 0; k < v.step.size(); ++k)
        there[s * v.count + k] = p_->costs.units(other, p_->tokens(expert, v.step[k]));
    }
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
  const auto row_a = a * p_->stride;
  const auto row_b = b * p_->stride;
  const Exchange<Units> x{own(a, i),        foreign(1, j, a),       own(b, j),
                          foreign(0, i, b), s_.room.data() + row_a, s_.room.data() + row_b};
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
        const auto slower =
            std::max(cost_a(std::int64_t{s_.load[row_a + t]} - x.a_out[t] + x.a_in[t]),
                     cost_b(std::int64_t{s_.load[row_b + t]} - x.b_out[t] + x.b_in[t]));
        const auto more = slower - s_.slowest[t].seconds[0];
        if (more > 0) lost += p_->weight[t] * more;
      }
  }
  return lost;
}

template <class Units>
double SwapSearch<Units>::gain_of(std::size_t a, std::size_t i, std::size_t b, std::size_t j) {
  view_pair(a, b);
  double gain = 0;
  if (view_.rest[0] > enough_) {
    take_out(i);
    gain = gain_in_critical(j, -std::numeric_limits<double>::infinity());
  }
  return gain - remaining_loss(i, j, std::numeric_limits<double>::infinity());
}

template <class Units>
void SwapSearch<Units>::swap(std::size_t a, std::size_t i, std::size_t b, std::size_t j) {
  const auto& p = *p_;
  view_.a = a;
  view_.b = b;
  const auto* a_out = own(a, i);
  const auto* b_out = own(b, j);
  const auto* b_in = foreign(0, i, b);
  const auto* a_in = foreign(1, j, a);
  const auto& cost_a = p.costs.of(a);
  const auto& cost_b = p.costs.of(b);
  for (std::size_t t = 0; t < p.steps; ++t) {
    auto& load_a = s_.load[a * p.stride + t];
    auto& load_b = s_.load[b * p.stride + t];
    const auto more_a = a_in[t] - a_out[t];
    const auto more_b = b_in[t] - b_out[t];
    if (more_a == 0 && more_b == 0) continue;
    load_a += more_a;
    load_b += more_b;
    auto& top = s_.slowest[t];
    const auto before = top.seconds[0];
    const auto seconds_a = s_.cost[t * p.ranks + a] = cost_a(load_a);
    const auto seconds_b = s_.cost[t * p.ranks + b] = cost_b(load_b);
    bool ranked = std::max(seconds_a, seconds_b) > top.seconds[2];
    for (auto r : top.rank) ranked = ranked || r == a || r == b;
    if (ranked) rank_step(t);
    const auto* within = p.costs.loads_within(top.seconds[0]);
    if (top.seconds[0] < before) {  // where it grew the others have a little more room than known
      for (std::size_t r = 0; r < p.ranks; ++r) make_room(t, within, r);
    } else {
      make_room(t, within, a);
      make_room(t, within, b);
    }
  }
  std::swap(s_.member[a * p.slots + i], s_.member[b * p.slots + j]);
  if (p.costs.by_rank()) {
    std::copy_n(a_in, p.stride, s_.own.data() + (a * p.slots + i) * p.stride);
    std::copy_n(b_in, p.stride, s_.own.data() + (b * p.slots + j) * p.stride);
    std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
  }
  list_critical();
}

/// The best exchange of a pair of ranks, again and again until none helps.
template <class Units>
bool SwapSearch<Units>::visit(std::size_t a, std::size_t b) {
  for (bool changed = false;; changed = true) {
    view_pair(a, b);
    if (view_.rest[0] <= enough_) return changed;
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

/// Visits pairs of ranks, those first that could gain most. Only pairs that changed, or everyone.
template <class Units>
bool SwapSearch<Units>::round(bool everyone) {
  const auto ranks = p_->ranks;
  // What a pair can gain at most: steps in which it holds the slowest rank, up to the slowest
  // other.
  std::vector<double> alone(ranks, 0);
  std::vector<double> together(ranks * ranks, 0);
  for (std::size_t t = 0; t < p_->steps; ++t) {
    const auto& top = s_.slowest[t];
    if (top.rank[0] == kNone) continue;
    alone[top.rank[0]] += p_->weight[t] * (top.seconds[0] - top.seconds[1]);
    if (top.rank[1] == kNone) continue;
    const auto [low, high] = std::minmax(top.rank[0], top.rank[1]);
    together[low * ranks + high] += p_->weight[t] * (top.seconds[1] - top.seconds[2]);
  }
  struct Pair {
    double potential;
    std::size_t a, b;
  };
  std::vector<Pair> pairs;
  for (std::size_t a = 0; a < ranks; ++a)
    for (std::size_t b = a + 1; b < ranks; ++b) {
      const auto potential = alone[a] + alone[b] + together[a * ranks + b];
      if (potential > enough_ && (everyone || dirty_[a] || dirty_[b]))
        pairs.push_back({potential, a, b});
    }
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& x, const Pair& y) { return x.potential > y.potential; });
  std::vector<char> next(ranks, 0);
  bool changed = false;
  for (const auto& pair : pairs) {
    if (!visit(pair.a, pair.b)) continue;
    next[pair.a] = next[pair.b] = 1;
    changed = true;
  }
  dirty_ = next;
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
  const auto before = value();
  const State kept = s_;
  const auto swaps = 2 + random.below(3);
  std::fill(dirty_.begin(), dirty_.end(), char{0});
  for (std::uint64_t n = 0; n < swaps; ++n) {
    // The slowest rank of a random step is a rank drawn by how often it is critical.
    const auto slowest = s_.slowest[random.below(p_->steps)].rank[0];
    const auto a = slowest == kNone ? random.below(p_->ranks) : slowest;
    const auto b = (a + 1 + random.below(p_->ranks - 1)) % p_->ranks;
    std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
    swap(a, random.below(p_->slots), b, random.below(p_->slots));
    dirty_[a] = dirty_[b] = 1;
  }
  while (round(false)) {
  }
  if (value() < before - enough_) {
    descend();
    return;
  }
  s_ = kept;
}

template class SwapSearch<std::int16_t>;
template class SwapSearch<std::int32_t>;

}  // namespace gembench
