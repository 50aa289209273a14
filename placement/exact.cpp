#include "placement/exact.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "placement/error.hpp"
#include "placement/gem_plus.hpp"
#include "placement/plan_layers.hpp"

namespace gembench {
namespace {

// A branch must promise more than rounding could pretend, relative to the objective.
constexpr double kLeastGain = 1e-12;

class BranchAndBound {
 public:
  BranchAndBound(const LayerProblem& problem, Assignment start)
      : p_(problem),
        best_(std::move(start)),
        least_(evaluate(problem, best_)),
        tables_(problem.costs.by_rank() ? problem.ranks : 1),
        load_(problem.ranks * problem.steps, 0),
        used_(problem.ranks, 0),
        place_(problem.experts, 0),
        floor_(problem.steps) {
    find_minima();
    find_twins();
    find_floor();
  }

  Assignment run() {
    branch(0);
    return best_;
  }

 private:
  [[nodiscard]] std::int32_t units(std::size_t r, std::size_t e, std::size_t t) const {
    return p_.costs.units(r, p_.tokens(e, t));
  }
  /// [step] least units that `count` of the experts from `depth` on add to a rank.
  [[nodiscard]] const std::int64_t* minima(std::size_t r, std::size_t depth,
                                           std::size_t count) const {
    const auto table = p_.costs.by_rank() ? r : 0;
    return minima_.data() +
           ((table * (p_.experts + 1) + depth) * (p_.slots + 1) + count) * p_.steps;
  }

  void find_minima() {
    minima_.assign(tables_ * (p_.experts + 1) * (p_.slots + 1) * p_.steps, 0);
    std::vector<std::int32_t> row;
    for (std::size_t r = 0; r < tables_; ++r)
      for (std::size_t depth = 0; depth <= p_.experts; ++depth)
        for (std::size_t t = 0; t < p_.steps; ++t) {
          row.clear();
          for (auto d = depth; d < p_.experts; ++d) row.push_back(units(r, p_.by_total[d], t));
          std::sort(row.begin(), row.end());
          std::int64_t sum = 0;
          for (std::size_t count = 1; count <= std::min(p_.slots, row.size()); ++count) {
            sum += row[count - 1];
            const_cast<std::int64_t*>(minima(r, depth, count))[t] = sum;
          }
        }
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

  /// What no placement undercuts in a step: with an expert on a rank come the least others.
  void find_floor() {
    for (std::size_t t = 0; t < p_.steps; ++t) {
      double floor = 0;
      for (std::size_t r = 0; r < p_.ranks; ++r)
        floor = std::max(floor, p_.costs.of(r).least_from(minima(r, 0, p_.slots)[t]));
      floor_[t] = floor;
    }
    rest_.assign(p_.steps + 1, 0);
    for (auto t = p_.steps; t-- > 0;) rest_[t] = rest_[t + 1] + p_.weight[t] * floor_[t];
  }

  /// Lower bound of everything below the current node; stops once it is no better than the best.
  [[nodiscard]] double bound(std::size_t depth) const {
    const auto enough = least_ * (1 - kLeastGain);
    double sum = 0;
    for (std::size_t t = 0; t < p_.steps; ++t) {
      double slowest = floor_[t];
      for (std::size_t r = 0; r < p_.ranks; ++r) {
        const auto coming = minima(r, depth, p_.slots - used_[r])[t];
        slowest = std::max(slowest, p_.costs.of(r).least_from(load_[r * p_.steps + t] + coming));
      }
      sum += p_.weight[t] * slowest;
      if (sum + rest_[t + 1] >= enough) return least_;
    }
    return sum;
  }

  void put(std::size_t e, std::size_t r, int sign) {
    for (std::size_t t = 0; t < p_.steps; ++t)
      load_[r * p_.steps + t] += sign * std::int64_t{units(r, e, t)};
    used_[r] += static_cast<std::size_t>(sign);
    place_[e] = static_cast<std::int32_t>(r);
  }

  void branch(std::size_t depth) {
    if (depth == p_.real) {
      fill_up();
      const auto seconds = evaluate(p_, place_);
      if (seconds >= least_) return;
      least_ = seconds;
      best_ = place_;
      return;
    }
    const auto e = p_.by_total[depth];
    std::vector<std::pair<double, std::size_t>> children;
    for (std::size_t r = 0; r < p_.ranks; ++r) {
      if (used_[r] == p_.slots || (used_[r] == 0 && has_empty_twin_before(r))) continue;
      put(e, r, 1);
      const auto promise = bound(depth + 1);
      put(e, r, -1);
      if (promise < least_ * (1 - kLeastGain)) children.emplace_back(promise, r);
    }
    std::sort(children.begin(), children.end());
    for (const auto& [promise, r] : children) {
      if (promise >= least_ * (1 - kLeastGain)) break;
      put(e, r, 1);
      branch(depth + 1);
      put(e, r, -1);
    }
  }

  /// Spare slots: anywhere there is room.
  void fill_up() {
    std::size_t r = 0;
    auto free = p_.slots - used_[0];
    for (auto d = p_.real; d < p_.experts; ++d, --free) {
      while (free == 0) free = p_.slots - used_[++r];
      place_[p_.by_total[d]] = static_cast<std::int32_t>(r);
    }
  }

  [[nodiscard]] bool has_empty_twin_before(std::size_t r) const {
    for (std::size_t other = 0; other < r; ++other)
      if (twin_[other] == twin_[r] && used_[other] == 0) return true;
    return false;
  }

  const LayerProblem& p_;
  Assignment best_;
  double least_;
  std::size_t tables_;
  std::vector<std::int64_t> minima_;  // [table][depth][count][step]
  std::vector<std::size_t> twin_;     // [rank]
  std::vector<std::int64_t> load_;    // [rank][step] units
  std::vector<std::size_t> used_;     // [rank]
  Assignment place_;
  std::vector<double> floor_;  // [step] seconds
  std::vector<double> rest_;   // [step] of this and later steps
};

}  // namespace

Assignment solve_exactly(const LayerProblem& problem, Assignment start) {
  return BranchAndBound(problem, std::move(start)).run();
}

Placement plan_exact(const PlanInput& input, const SearchOptions& options) {
  const auto experts = input.trace.experts;
  const auto ranks = input.cost.ranks();
  (void)empty_plan(input, "exact");  // says so when they do not divide
  if (experts > kMaxExactExperts || ranks > kMaxExactRanks)
    throw usage_error(fmt::format(
        "exact answers are limited to {} experts on {} ranks, this is {} on {}; use gem+",
        kMaxExactExperts, kMaxExactRanks, experts, ranks));
  return plan_layers(input, "exact", 0xe4ac7, options.threads,
                     [&](const LayerProblem& problem, const Random& random) {
                       return solve_exactly(problem, search_from_starts(problem, random, options));
                     });
}

Placement plan_exact(const PlanInput& input) {
  return plan_exact(input, SearchOptions{});
}

}  // namespace gembench
