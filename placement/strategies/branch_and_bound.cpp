#include "placement/strategies/branch_and_bound.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace gembench::inline strategies {
namespace {

// A branch must promise more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-12;

/// Reorders the steps so that those with the longest time of the slowest rank come first: they
/// reveal a poor branch soonest.
LayerProblem longest_first(LayerProblem problem, const Assignment& start) {
  std::vector<double> seconds(problem.steps, 0);
  std::vector<std::int64_t> load(problem.ranks);
  for (std::size_t t = 0; t < problem.steps; ++t) {
    std::fill(load.begin(), load.end(), 0);
    for (std::size_t e = 0; e < problem.experts; ++e) {
      const auto r = static_cast<std::size_t>(start[e]);
      load[r] += problem.costs.units(r, problem.tokens(e, t));
    }
    for (std::size_t r = 0; r < problem.ranks; ++r)
      seconds[t] = std::max(seconds[t], problem.costs.of(r)(load[r]));
  }
  std::vector<std::size_t> order(problem.steps);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t x, std::size_t y) { return seconds[x] > seconds[y]; });
  const auto permute = [&](auto& row, std::size_t at) {
    const auto before = row;
    for (std::size_t t = 0; t < order.size(); ++t) row[at + t] = before[at + order[t]];
  };
  for (std::size_t e = 0; e < problem.real; ++e) {
    if (problem.costs.narrow())
      permute(problem.narrow, e * problem.stride);
    else
      permute(problem.wide, e * problem.stride);
  }
  return problem;
}

/// Depth first. In every node each remaining expert is tried on each rank with room. If the bound
/// is no better than the best known value, that pair need not be tried again further down. An
/// expert without a rank, or a rank without enough experts, ends the branch. The expert with the
/// fewest possible ranks is placed next.
class BranchAndBound {
 public:
  BranchAndBound(const LayerProblem& problem, Assignment start, std::int64_t looks)
      : looks_left_(looks),
        p_(longest_first(problem, start)),
        best_(std::move(start)),
        least_(evaluate(p_, best_)),
        units_(p_.ranks * p_.real * p_.steps),
        fewest_(p_.real * p_.steps, std::numeric_limits<std::int32_t>::max()),
        load_(p_.ranks * p_.steps, 0),
        used_(p_.ranks, 0),
        place_(p_.experts, 0),
        nodes_(p_.real + 1) {
    for (std::size_t r = 0; r < p_.ranks; ++r)
      for (std::size_t e = 0; e < p_.real; ++e)
        for (std::size_t t = 0; t < p_.steps; ++t) {
          const auto units = p_.costs.units(r, p_.tokens(e, t));
          units_[(r * p_.real + e) * p_.steps + t] = units;
          fewest_[e * p_.steps + t] = std::min(fewest_[e * p_.steps + t], units);
        }
    find_twins();
    find_lines();
  }

  ExactResult run() {
    auto& root = nodes_[0];
    root.left.assign(p_.by_total.begin(), p_.by_total.end());
    std::erase_if(root.left, [&](std::size_t e) { return e >= p_.real; });
    root.ranks_of.assign(root.left.size(), ~0U);
    branch(0);
    // Everything left out takes at least open_, and the rest was searched or is no better.
    const auto least = std::min(open_, least_);
    return {best_, least > 0 ? least_ / least - 1 : 0};
  }

 private:
  /// A partial assignment: the remaining experts, and the step-by-step data shared by all its
  /// children.
  struct Node {
    std::vector<std::size_t> left;        // experts
    std::vector<std::uint32_t> ranks_of;  // [left] bits of ranks that may still take it
    std::vector<std::int64_t> coming;     // [count][step] least units that many of them add
    std::vector<double> most, second;     // seconds of the slowest rank and of the next
    std::vector<std::size_t> slowest;
    std::vector<double> carried;  // units on open ranks and still to come
    double offset = 0;            // of the lines of open ranks
    double speed = 0;
  };

  [[nodiscard]] const std::int32_t* units(std::size_t r, std::size_t e) const {
    return units_.data() + (r * p_.real + e) * p_.steps;
  }

  /// twin_[r]: the first rank with the same curve. Of empty twins only the first needs a try.
  void find_twins() {
    const auto& model = p_.costs.model();
    for (std::size_t r = 0; r < p_.ranks; ++r) {
      const auto mine = model.latency(static_cast<int>(r));
      std::size_t twin = 0;
      while (!std::ranges::equal(mine, model.latency(static_cast<int>(twin)))) ++twin;
      twin_.push_back(twin);
    }
  }

  [[nodiscard]] bool has_empty_twin_before(std::size_t r) const {
    for (std::size_t other = 0; other < r; ++other)
      if (twin_[other] == twin_[r] && used_[other] == 0) return true;
    return false;
  }

  /// Lines below the curves, at the average load of ranks: with them, open ranks must carry the
  /// remaining work for any split.
  void find_lines() {
    std::int64_t all = 0;
    for (auto units : fewest_) all += units;
    const auto mean =
        all / static_cast<std::int64_t>(std::max<std::size_t>(1, p_.steps) * p_.ranks);
    for (std::size_t r = 0; r < p_.ranks; ++r) {
      const auto line = p_.costs.of(r).line_below(mean);
      by_work_ = by_work_ && line.slope > 0;  // otherwise some rank takes any load in no time
      offset_.push_back(by_work_ ? line.base / line.slope - line.start : 0);
      speed_.push_back(by_work_ ? 1 / line.slope : 0);
    }
  }

  /// How many of the remaining experts a rank must get, because the other ranks have no room for
  /// them.
  [[nodiscard]] std::size_t must_get(const Node& node, std::size_t r) const {
    const auto elsewhere = p_.experts - (p_.real - node.left.size()) - (p_.slots - used_[r]);
    return node.left.size() > elsewhere ? node.left.size() - elsewhere : 0;
  }

  void look(Node& node) const {
    const auto steps = p_.steps;
    node.coming.assign((p_.slots + 1) * steps, 0);
    node.most.assign(steps, 0);
    node.second.assign(steps, 0);
    node.slowest.assign(steps, p_.ranks);
    node.carried.assign(steps, 0);
    std::vector<std::int32_t> row;
    for (std::size_t t = 0; t < steps; ++t) {
      row.clear();
      for (auto e : node.left) row.push_back(fewest_[e * steps + t]);
      std::sort(row.begin(), row.end());
      for (std::size_t n = 0; n < std::min(p_.slots, row.size()); ++n)
        node.coming[(n + 1) * steps + t] = node.coming[n * steps + t] + row[n];
      for (auto units : row) node.carried[t] += units;
    }
    node.offset = node.speed = 0;
    for (std::size_t r = 0; r < p_.ranks; ++r) {
      const auto* load = load_.data() + r * steps;
      const auto* coming = node.coming.data() + must_get(node, r) * steps;
      for (std::size_t t = 0; t < steps; ++t) {
        const auto seconds = p_.costs.of(r).least_from(load[t] + coming[t]);
        if (seconds > node.most[t]) {
          node.second[t] = node.most[t];
          node.most[t] = seconds;
          node.slowest[t] = r;
        } else if (seconds > node.second[t]) {
          node.second[t] = seconds;
        }
      }
      if (used_[r] == p_.slots) continue;
      node.offset += offset_[r];
      node.speed += speed_[r];
      for (std::size_t t = 0; t < steps; ++t) node.carried[t] += static_cast<double>(load[t]);
    }
  }

  /// Lower bound of everything with expert e on rank r; nothing unless that is better than the best
  /// so far.
  std::optional<double> bound(const Node& node, std::size_t e, std::size_t r) {
    const auto enough = least_ * (1 - kLeastGain);
    const auto& cost = p_.costs.of(r);
    const auto* load = load_.data() + r * p_.steps;
    const auto* add = units(r, e);
    const auto must = must_get(node, r);
    const auto* coming = node.coming.data() + (must > 0 ? must - 1 : 0) * p_.steps;
    const bool closes = used_[r] + 1 == p_.slots;
    const auto offset = node.offset - (closes ? offset_[r] : 0);
    const auto speed = node.speed - (closes ? speed_[r] : 0);
    const auto per_unit = by_work_ && speed > 1e-9 * node.speed ? (1 - kLeastGain) / speed : 0;
    double sum = 0;
    for (std::size_t t = 0; t < p_.steps; ++t, --looks_left_) {
      const auto mine = load[t] + add[t];
      auto slowest = node.slowest[t] == r ? node.second[t] : node.most[t];
      slowest = std::max(slowest, cost.least_from(mine + coming[t]));
      // A rank that closes removes its share from the work of the open ones.
      const auto work = node.carried[t] - (closes ? static_cast<double>(mine) : 0.0);
      slowest = std::max(slowest, (offset + work) * per_unit);
      sum += slowest;
      if (!(sum < enough)) return std::nullopt;  // a part of the sum is no value
    }
    return sum;
  }

  void put(std::size_t e, std::size_t r, int sign) {
    const auto* add = units(r, e);
    for (std::size_t t = 0; t < p_.steps; ++t)
      load_[r * p_.steps + t] += sign * std::int64_t{add[t]};
    used_[r] += static_cast<std::size_t>(sign);
    place_[e] = static_cast<std::int32_t>(r);
  }

  /// Which ranks may take which experts; false if an expert has no place or a rank gets too few.
  bool try_everyone(Node& node, std::vector<double>& promises) {
    std::vector<std::size_t> takers(p_.ranks, 0);
    promises.assign(node.left.size() * p_.ranks, least_);
    for (std::size_t i = 0; i < node.left.size(); ++i) {
      std::uint32_t ranks = 0;
      for (std::size_t r = 0; r < p_.ranks; ++r) {
        if (used_[r] == p_.slots || !(node.ranks_of[i] >> r & 1U)) continue;
        const auto promise = bound(node, node.left[i], r);
        if (!promise) continue;
        promises[i * p_.ranks + r] = *promise;
        ranks |= 1U << r;
        ++takers[r];
      }
      node.ranks_of[i] = ranks;
      if (ranks == 0) return false;
    }
    for (std::size_t r = 0; r < p_.ranks; ++r)
      if (takers[r] < must_get(node, r)) return false;
    return true;
  }

  void branch(std::size_t depth) {
    auto& node = nodes_[depth];
    if (node.left.empty()) {
      fill_up();
      const auto seconds = evaluate(p_, place_);
      if (seconds >= least_) return;
      least_ = seconds;
      best_ = place_;
      return;
    }
    if (p_.pulse) p_.pulse();
    look(node);
    std::vector<double> promises;
    if (!try_everyone(node, promises)) return;
    std::size_t next = 0;
    for (std::size_t i = 1; i < node.left.size(); ++i)
      if (std::popcount(node.ranks_of[i]) < std::popcount(node.ranks_of[next])) next = i;
    const auto e = node.left[next];
    std::vector<std::pair<double, std::size_t>> children;
    for (std::size_t r = 0; r < p_.ranks; ++r)
      if ((node.ranks_of[next] >> r & 1U) && !(used_[r] == 0 && has_empty_twin_before(r)))
        children.emplace_back(promises[next * p_.ranks + r], r);
    std::sort(children.begin(), children.end());
    auto& child = nodes_[depth + 1];
    for (const auto& [promise, r] : children) {
      if (promise >= least_ * (1 - kLeastGain)) break;
      child.left = node.left;
      child.left.erase(child.left.begin() + static_cast<std::ptrdiff_t>(next));
      child.ranks_of = node.ranks_of;
      child.ranks_of.erase(child.ranks_of.begin() + static_cast<std::ptrdiff_t>(next));
      if (looks_left_ <= 0) {  // the first of those left out promises most
        open_ = std::min(open_, promise);
        return;
      }
      put(e, r, 1);
      branch(depth + 1);
      put(e, r, -1);
    }
  }

  /// Spare slots: anywhere there is room.
  void fill_up() {
    std::size_t r = 0;
    auto free = p_.slots - used_[0];
    for (auto e = p_.real; e < p_.experts; ++e, --free) {
      while (free == 0) free = p_.slots - used_[++r];
      place_[e] = static_cast<std::int32_t>(r);
    }
  }

  std::int64_t looks_left_;
  double open_ = std::numeric_limits<double>::infinity();  // least that branches left out promise
  LayerProblem p_;
  Assignment best_;
  double least_;
  std::vector<std::int32_t> units_;   // [rank][expert][step]
  std::vector<std::int32_t> fewest_;  // [expert][step] of all ranks
  std::vector<std::size_t> twin_;     // [rank]
  bool by_work_ = true;               // whether there are lines
  std::vector<double> offset_;        // [rank] units its line starts with
  std::vector<double> speed_;         // [rank] units a second
  std::vector<std::int64_t> load_;    // [rank][step] units
  std::vector<std::size_t> used_;     // [rank]
  Assignment place_;
  std::vector<Node> nodes_;  // [depth]
};

}  // namespace

ExactResult solve_exactly(const LayerProblem& problem, Assignment start, std::int64_t looks) {
  return BranchAndBound(problem, std::move(start), looks).run();
}

}  // namespace gembench::inline strategies
