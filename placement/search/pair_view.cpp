#include "placement/search/pair_view.hpp"

#include <algorithm>
#include <limits>

namespace gembench::inline search {
namespace {

constexpr std::size_t kChunk = 4;  // words of steps between two checks of a swap's loss

}  // namespace

template <class Units>
PairView<Units>::PairView(const LayerProblem& problem, SwapState<Units>& state, Isa isa)
    : p_(&problem),
      state_(&state),
      mask_of_(step_mask<Units>(isa)),
      gain_in_(critical_gain(isa)),
      critical_mask_(problem.stride / 64),
      mask_(problem.stride / 64) {
  if (!problem.costs.by_rank()) return;
  foreign_.resize(2 * problem.slots * problem.stride);
  foreign_known_.resize(2 * problem.slots);
}

template <class Units>
void PairView<Units>::choose(std::size_t a, std::size_t b) {
  a_ = a;
  b_ = b;
  std::fill(foreign_known_.begin(), foreign_known_.end(), char{0});
}

template <class Units>
bool PairView<Units>::look(std::size_t a, std::size_t b, double enough) {
  choose(a, b);
  const auto least = find_critical();
  if (rest_[0] <= enough) return false;
  find_units();
  // Only the relevant part of the curves: seconds below the slowest other rank need not be exact,
  // only low, and no load is larger than the largest load plus the largest expert.
  const auto level = p_->costs.level(least);
  const auto most_a = *std::max_element(load_a_.begin(), load_a_.end()) + most_units_;
  const auto most_b = *std::max_element(load_b_.begin(), load_b_.end()) + most_units_;
  cost_a_ = p_->costs.of(a).lines(p_->costs.load_within(a, level), most_a);
  cost_b_ = p_->costs.of(b).lines(p_->costs.load_within(b, level), most_b);
  return true;
}

template <class Units>
const Units* PairView<Units>::foreign(std::size_t side, std::size_t s) {
  const auto home = side == 0 ? a_ : b_;
  if (!p_->costs.by_rank()) return state_->units(home, s);
  const auto at = side * p_->slots + s;
  auto* row = foreign_.data() + at * p_->stride;
  if (!foreign_known_[at]) fill_units(*p_, side == 0 ? b_ : a_, state_->member(home, s), row);
  foreign_known_[at] = 1;
  return row;
}

/// Lines the critical steps up; returns the least seconds of the slowest other rank in any of them.
template <class Units>
double PairView<Units>::find_critical() {
  std::fill(critical_mask_.begin(), critical_mask_.end(), 0);
  const auto most = state_->critical(a_).size() + state_->critical(b_).size() + kLanes;
  step_.resize(most);
  for (auto* values : {&others_, &now_, &weight_, &load_a_, &load_b_}) values->resize(most);
  const auto* load_a = state_->load(a_);
  const auto* load_b = state_->load(b_);
  std::size_t n = 0;
  auto least = std::numeric_limits<double>::infinity();
  for (auto r : {a_, b_})
    for (auto t : state_->critical(r)) {
      const auto& top = state_->slowest(t);
      const bool both = top.rank[1] == a_ || top.rank[1] == b_;
      const auto others = top.seconds[both ? 2 : 1];
      if (others >= top.seconds[0]) continue;  // a third rank is as slow: nothing to gain
      step_[n] = t;
      others_[n] = others;
      now_[n] = top.seconds[0];
      weight_[n] = 1;
      load_a_[n] = load_a[t];
      load_b_[n] = load_b[t];
      critical_mask_[t / 64] |= std::uint64_t{1} << (t % 64);
      least = std::min(least, others);
      ++n;
    }
  step_.resize(n);
  count_ = (n + kLanes - 1) / kLanes * kLanes;
  for (auto* values : {&others_, &now_, &weight_, &load_a_, &load_b_})
    std::fill(values->begin() + static_cast<std::ptrdiff_t>(n), values->end(), 0.0);
  rest_.assign(count_ / kGainBlock + 2, 0);
  for (std::size_t k = count_; k-- > 0;)
    rest_[k / kGainBlock] += weight_[k] * (now_[k] - others_[k]);
  for (auto block = rest_.size() - 1; block-- > 0;) rest_[block] += rest_[block + 1];
  return least;
}

template <class Units>
void PairView<Units>::find_units() {
  most_units_ = 0;
  a_kept_.resize(count_);
  b_with_.resize(count_);
  const bool by_rank = p_->costs.by_rank();
  for (std::size_t side = 0; side < 2; ++side) {
    const auto home = side == 0 ? a_ : b_;
    const auto other = side == 0 ? b_ : a_;
    auto& here = units_[2 * side];
    auto& there = units_[2 * side + 1];
    here.resize(p_->slots * count_);
    if (by_rank) there.resize(p_->slots * count_);
    auto* out = here.data();
    for (std::size_t k = 0; k < step_.size(); ++k) {
      const auto* units = state_->units_at(step_[k], home);
      for (std::size_t s = 0; s < p_->slots; ++s) out[s * count_ + k] = units[s];
    }
    for (std::size_t s = 0; s < p_->slots; ++s) {
      std::fill(out + s * count_ + step_.size(), out + (s + 1) * count_, 0.0);
      if (!by_rank) continue;
      const auto expert = state_->member(home, s);
      auto* row = there.data() + s * count_;
      for (std::size_t k = 0; k < step_.size(); ++k)
        row[k] = p_->costs.units(other, p_->tokens(expert, step_[k]));
      std::fill(row + step_.size(), row + count_, 0.0);
    }
    const auto used = static_cast<std::ptrdiff_t>(p_->slots * count_);
    most_units_ = std::max(most_units_, *std::max_element(here.begin(), here.begin() + used));
    if (by_rank)
      most_units_ = std::max(most_units_, *std::max_element(there.begin(), there.begin() + used));
  }
}

template <class Units>
void PairView<Units>::take_out(std::size_t i) {
  const auto* a_out = units_[0].data() + i * count_;
  const auto* b_in = p_->costs.by_rank() ? units_[1].data() + i * count_ : a_out;
  for (std::size_t k = 0; k < count_; ++k) {
    a_kept_[k] = load_a_[k] - a_out[k];
    b_with_[k] = load_b_[k] + b_in[k];
  }
}

template <class Units>
std::optional<double> PairView<Units>::gain_in_critical(std::size_t j, double enough) const {
  const auto* b_out = units_[2].data() + j * count_;
  const auto* a_in = p_->costs.by_rank() ? units_[3].data() + j * count_ : b_out;
  const auto gain = gain_in_(
      {count_, others_.data(), now_.data(), weight_.data(), rest_.data(), a_kept_.data(), a_in,
       b_with_.data(), b_out, cost_a_, cost_b_, &p_->costs.of(a_), &p_->costs.of(b_)},
      enough);
  return gain && *gain > enough ? gain : std::nullopt;
}

template <class Units>
std::optional<double> PairView<Units>::remaining_loss(std::size_t i, std::size_t j, double most) {
  const auto a = a_;
  const auto b = b_;
  const Exchange<Units> x{state_->units(a, i), foreign(1, j),   state_->units(b, j),
                          foreign(0, i),       state_->room(a), state_->room(b)};
  const auto* load_a = state_->load(a);
  const auto* load_b = state_->load(b);
  const auto& cost_a = p_->costs.of(a);
  const auto& cost_b = p_->costs.of(b);
  double lost = 0;
  for (std::size_t word = 0; word < mask_.size(); word += kChunk) {
    const auto from = word * 64;
    const Exchange<Units> part{x.a_out + from, x.a_in + from,   x.b_out + from,
                               x.b_in + from,  x.a_room + from, x.b_room + from};
    const auto words = std::min(kChunk, mask_.size() - word);
    mask_of_(part, words, mask_.data() + word);
    for (auto w = word; w < word + words; ++w)
      for (auto bits = mask_[w] & ~critical_mask_[w]; bits != 0; bits &= bits - 1) {
        const auto t = w * 64 + static_cast<std::size_t>(__builtin_ctzll(bits));
        const auto slower = std::max(cost_a(std::int64_t{load_a[t]} - x.a_out[t] + x.a_in[t]),
                                     cost_b(std::int64_t{load_b[t]} - x.b_out[t] + x.b_in[t]));
        const auto more = slower - state_->slowest(t).seconds[0];
        if (more > 0) lost += more;
      }
    if (!(lost < most)) return std::nullopt;  // a part of the sum is no value
  }
  return lost;
}

template class PairView<std::int16_t>;
template class PairView<std::int32_t>;

}  // namespace gembench::inline search
