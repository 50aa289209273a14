#include "placement/gem_search.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace gembench {
namespace {

constexpr std::int64_t kMaxTableCells = std::int64_t{1} << 25;  // 256 MiB over all ranks
// A swap must gain more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-10;
constexpr std::size_t kBlock = 32;  // steps between two looks at whether a swap can still win

}  // namespace

CostTable::CostTable(const CostModel& cost, std::int64_t max_load) : cost_(cost) {
  if ((max_load + 1) > kMaxTableCells / cost.ranks()) return;
  width_ = static_cast<std::size_t>(max_load) + 1;
  seconds_.reserve(width_ * static_cast<std::size_t>(cost.ranks()));
  for (int rank = 0; rank < cost.ranks(); ++rank)
    for (std::int64_t load = 0; load <= max_load; ++load)
      seconds_.push_back(cost.seconds(rank, load));
}

/// Where every expert is, with what follows from it per rank and step.
struct LayerSearch::State {
  std::vector<std::vector<std::size_t>> on_rank;  // experts of each rank
  std::vector<std::int32_t> load;                 // [rank][step]
  std::vector<double> cost;                       // [rank][step]
  struct Slowest {
    std::array<double, 3> seconds{};
    std::array<std::uint32_t, 3> rank{};
  };
  std::vector<Slowest> slowest;  // [step] the three slowest ranks: two of them may be in a swap

  void find_slowest(std::size_t ranks, std::size_t steps) {
    slowest.assign(steps, {});
    for (auto& top : slowest) top.seconds.fill(-1);
    for (std::uint32_t r = 0; r < ranks; ++r) {
      const auto* row = cost.data() + r * steps;
      for (std::size_t t = 0; t < steps; ++t) {
        auto& top = slowest[t];
        if (row[t] <= top.seconds[2]) continue;
        std::size_t at = 2;
        for (; at > 0 && row[t] > top.seconds[at - 1]; --at) {
          top.seconds[at] = top.seconds[at - 1];
          top.rank[at] = top.rank[at - 1];
        }
        top.seconds[at] = row[t];
        top.rank[at] = r;
      }
    }
  }
};

/// One pair of ranks against the rest. Only steps in which one of the two is the slowest of all
/// can gain from a swap between them; they come first, those with most to gain at the front, so
/// that nearly all swaps are dropped after a few blocks.
struct LayerSearch::PairView {
  /// What a step looks like to a swap, in the order in which steps are looked at.
  struct Step {
    std::uint32_t step = 0;
    std::int32_t load_a = 0;
    std::int32_t load_b = 0;
    double others = 0;  // slowest of all other ranks
    double now = 0;     // slowest of all
  };
  std::size_t a = 0;
  std::size_t b = 0;
  std::vector<Step> steps;
  std::size_t critical = 0;       // how many can gain
  std::vector<double> best_from;  // [block] most that this and later blocks can gain
};

LayerSearch::LayerSearch(const Trace& trace, int layer, const CostTable& table)
    : table_(table),
      steps_(static_cast<std::size_t>(trace.steps)),
      experts_(static_cast<std::size_t>(trace.experts)),
      ranks_(static_cast<std::size_t>(table.ranks())),
      loads_(steps_ * experts_),
      totals_(experts_),
      by_load_(experts_) {
  for (std::size_t t = 0; t < steps_; ++t) {
    const auto row = trace.loads(static_cast<int>(t), layer);
    for (std::size_t e = 0; e < experts_; ++e) {
      loads_[e * steps_ + t] = row[e];
      totals_[e] += row[e];
    }
  }
  std::iota(by_load_.begin(), by_load_.end(), std::size_t{0});
  std::stable_sort(by_load_.begin(), by_load_.end(),
                   [&](std::size_t x, std::size_t y) { return totals_[x] > totals_[y]; });
}

double LayerSearch::evaluate(const Assignment& assignment) const {
  std::vector<std::int64_t> load(ranks_);
  double sum = 0;
  for (std::size_t t = 0; t < steps_; ++t) {
    std::fill(load.begin(), load.end(), 0);
    for (std::size_t e = 0; e < experts_; ++e)
      load[static_cast<std::size_t>(assignment[e])] += loads_of(e)[t];
    double slowest = 0;
    for (std::size_t r = 0; r < ranks_; ++r) {
      const int rank = static_cast<int>(r);
      slowest = std::max(slowest, seconds(table_.of(rank), rank, load[r]));
    }
    sum += slowest;
  }
  return sum;
}

Assignment LayerSearch::speed_weighted_lpt() const {
  Assignment assignment(experts_);
  std::vector<std::int64_t> sum(ranks_, 0);
  std::vector<std::size_t> room(ranks_, experts_ / ranks_);
  for (auto e : by_load_) {
    auto best = ranks_;
    std::pair<double, std::int64_t> least;  // finish, then load: equal speeds or flat curves tie
    for (std::size_t r = 0; r < ranks_; ++r) {
      if (room[r] == 0) continue;
      const auto slope = std::max(0.0, table_.model().mean_slope(static_cast<int>(r)));
      const std::pair finish(slope * static_cast<double>(sum[r] + totals_[e]), sum[r]);
      if (best == ranks_ || finish < least) {
        best = r;
        least = finish;
      }
    }
    assignment[e] = static_cast<std::int32_t>(best);
    sum[best] += totals_[e];
    --room[best];
  }
  return assignment;
}

Assignment LayerSearch::greedy() const {
  Assignment assignment(experts_);
  std::vector<std::int64_t> load(ranks_ * steps_, 0);
  std::vector<std::size_t> room(ranks_, experts_ / ranks_);
  std::vector<double> slowest(steps_, 0);
  for (auto e : by_load_) {
    const auto* tokens = loads_of(e);
    auto best = ranks_;
    double least = 0;
    for (std::size_t r = 0; r < ranks_; ++r) {
      if (room[r] == 0) continue;
      const int rank = static_cast<int>(r);
      const auto* table = table_.of(rank);
      const auto* row = load.data() + r * steps_;
      double sum = 0;
      for (std::size_t t = 0; t < steps_; ++t)
        sum += std::max(slowest[t], seconds(table, rank, row[t] + tokens[t]));
      if (best == ranks_ || sum < least) {
        best = r;
        least = sum;
      }
    }
    const int rank = static_cast<int>(best);
    auto* row = load.data() + best * steps_;
    for (std::size_t t = 0; t < steps_; ++t) {
      row[t] += tokens[t];
      slowest[t] = std::max(slowest[t], seconds(table_.of(rank), rank, row[t]));
    }
    assignment[e] = rank;
    --room[best];
  }
  return assignment;
}

void LayerSearch::view_pair(const State& state, std::size_t a, std::size_t b,
                            PairView& view) const {
  view.a = a;
  view.b = b;
  view.steps.resize(steps_);
  for (std::size_t t = 0; t < steps_; ++t) {
    const auto& top = state.slowest[t];
    std::size_t i = 0;
    while (i < 2 && (top.rank[i] == a || top.rank[i] == b)) ++i;
    view.steps[t].step = static_cast<std::uint32_t>(t);
    view.steps[t].others = ranks_ > 2 ? top.seconds[i] : 0;
  }
  order_steps(state, view);
}

void LayerSearch::order_steps(const State& state, PairView& view) const {
  const auto row_a = view.a * steps_;
  const auto row_b = view.b * steps_;
  for (auto& step : view.steps) {
    step.load_a = state.load[row_a + step.step];
    step.load_b = state.load[row_b + step.step];
    step.now =
        std::max({step.others, state.cost[row_a + step.step], state.cost[row_b + step.step]});
  }
  using Step = PairView::Step;
  const auto end = std::stable_partition(view.steps.begin(), view.steps.end(),
                                         [](const Step& step) { return step.now > step.others; });
  std::sort(view.steps.begin(), end, [](const Step& x, const Step& y) {
    return std::pair(y.now - y.others, x.step) < std::pair(x.now - x.others, y.step);
  });
  view.critical = static_cast<std::size_t>(end - view.steps.begin());
  view.best_from.assign(view.critical / kBlock + 2, 0);
  for (auto i = view.critical; i-- > 0;)
    view.best_from[i / kBlock] += view.steps[i].now - view.steps[i].others;
  for (auto block = view.best_from.size() - 1; block-- > 0;)
    view.best_from[block] += view.best_from[block + 1];
}

/// Seconds saved by exchanging an expert of rank a for one of rank b; anything at or below `enough`
/// when it would not save more than that.
double LayerSearch::gain(const PairView& view, std::size_t from_a, std::size_t from_b,
                         double enough) const {
  const int rank_a = static_cast<int>(view.a);
  const int rank_b = static_cast<int>(view.b);
  const auto* table_a = table_.of(rank_a);
  const auto* table_b = table_.of(rank_b);
  if (table_a && table_b)
    return gain_by(
        view, from_a, from_b, enough, [=](std::int32_t load) { return table_a[load]; },
        [=](std::int32_t load) { return table_b[load]; });
  const auto& model = table_.model();
  return gain_by(
      view, from_a, from_b, enough, [&](std::int32_t load) { return model.seconds(rank_a, load); },
      [&](std::int32_t load) { return model.seconds(rank_b, load); });
}

template <class SecondsA, class SecondsB>
double LayerSearch::gain_by(const PairView& view, std::size_t from_a, std::size_t from_b,
                            double enough, SecondsA seconds_a, SecondsB seconds_b) const {
  const auto* leaving_a = loads_of(from_a);
  const auto* leaving_b = loads_of(from_b);
  double saved = 0;
  for (std::size_t i = 0; i < steps_;) {
    const bool gaining = i < view.critical;
    const auto most = gaining ? view.best_from[i / kBlock] : 0.0;
    if (saved + most <= enough) return saved + most;
    const auto end = gaining ? std::min(i + kBlock, view.critical) : std::min(i + kBlock, steps_);
    for (; i < end; ++i) {
      const auto& step = view.steps[i];
      const auto to_b = leaving_a[step.step] - leaving_b[step.step];
      const auto slower = std::max(seconds_a(step.load_a - to_b), seconds_b(step.load_b + to_b));
      saved += step.now - std::max(step.others, slower);
    }
  }
  return saved;
}

void LayerSearch::swap(State& state, const PairView& view, std::size_t from_a,
                       std::size_t from_b) const {
  auto move = [&](std::size_t r, std::size_t out, std::size_t in) {
    const int rank = static_cast<int>(r);
    auto* load = state.load.data() + r * steps_;
    auto* cost = state.cost.data() + r * steps_;
    for (std::size_t t = 0; t < steps_; ++t) {
      load[t] += loads_of(in)[t] - loads_of(out)[t];
      cost[t] = seconds(table_.of(rank), rank, load[t]);
    }
  };
  move(view.a, from_a, from_b);
  move(view.b, from_b, from_a);
}

double LayerSearch::improve(Assignment& assignment) const {
  State state;
  state.on_rank.resize(ranks_);
  state.load.assign(ranks_ * steps_, 0);
  state.cost.resize(ranks_ * steps_);
  for (std::size_t e = 0; e < experts_; ++e) {
    const auto r = static_cast<std::size_t>(assignment[e]);
    state.on_rank[r].push_back(e);
    for (std::size_t t = 0; t < steps_; ++t) state.load[r * steps_ + t] += loads_of(e)[t];
  }
  for (std::size_t r = 0; r < ranks_; ++r)
    for (std::size_t t = 0; t < steps_; ++t) {
      const int rank = static_cast<int>(r);
      state.cost[r * steps_ + t] = seconds(table_.of(rank), rank, state.load[r * steps_ + t]);
    }
  state.find_slowest(ranks_, steps_);

  const double start = evaluate(assignment);
  const double enough = kLeastGain * start;
  PairView view;
  const auto pairs = ranks_ * (ranks_ - 1) / 2;
  // Goes round the pairs of ranks until a full round has found nothing.
  for (std::size_t quiet = 0; quiet < pairs;) {
    for (std::size_t a = 0; a < ranks_ && quiet < pairs; ++a)
      for (std::size_t b = a + 1; b < ranks_ && quiet < pairs; ++b) {
        view_pair(state, a, b, view);
        bool changed = false;
        for (auto& x : state.on_rank[a])
          for (auto& y : state.on_rank[b]) {
            if (gain(view, x, y, enough) <= enough) continue;
            swap(state, view, x, y);
            std::swap(x, y);
            changed = true;
            order_steps(state, view);  // the other ranks stay what they were
          }
        if (changed) state.find_slowest(ranks_, steps_);
        quiet = changed ? 0 : quiet + 1;
      }
  }
  for (std::size_t r = 0; r < ranks_; ++r)
    for (auto e : state.on_rank[r]) assignment[e] = static_cast<std::int32_t>(r);
  return evaluate(assignment);
}

}  // namespace gembench
