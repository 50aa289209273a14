#include "placement/search/layer_problem.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace gembench::inline search {

LayerProblem::LayerProblem(const Trace& trace, int layer, const SearchCosts& search_costs,
                           int slots_per_rank)
    : costs(search_costs),
      steps(static_cast<std::size_t>(trace.steps)),
      stride((steps + 63) / 64 * 64),
      experts(slots_per_rank == 0
                  ? static_cast<std::size_t>(trace.experts)
                  : static_cast<std::size_t>(slots_per_rank) * search_costs.ranks()),
      real(static_cast<std::size_t>(trace.experts)),
      ranks(search_costs.ranks()),
      slots(experts / ranks),
      totals(experts),
      by_total(experts) {
  const auto fill = [&](auto& rows) {
    rows.assign(experts * stride, 0);
    using Units = typename std::remove_reference_t<decltype(rows)>::value_type;
    for (std::size_t t = 0; t < steps; ++t) {
      const auto row = trace.loads(static_cast<int>(t), layer);
      for (std::size_t e = 0; e < real; ++e) {
        rows[e * stride + t] = static_cast<Units>(row[e]);
        totals[e] += row[e];
      }
    }
  };
  if (costs.narrow())
    fill(narrow);
  else
    fill(wide);
  std::iota(by_total.begin(), by_total.end(), std::size_t{0});
  std::stable_sort(by_total.begin(), by_total.end(),
                   [&](std::size_t x, std::size_t y) { return totals[x] > totals[y]; });
}

LayerProblem every_nth_step(const LayerProblem& problem, std::size_t n) {
  auto few = problem;
  few.steps = (problem.steps + n - 1) / n;
  few.stride = (few.steps + 63) / 64 * 64;
  const auto thin = [&](auto& rows) {
    if (rows.empty()) return;
    const auto all = rows;
    rows.assign(few.experts * few.stride, 0);
    for (std::size_t e = 0; e < few.experts; ++e)
      for (std::size_t t = 0; t < few.steps; ++t)
        rows[e * few.stride + t] = all[e * problem.stride + t * n];
  };
  thin(few.narrow);
  thin(few.wide);
  return few;
}

double evaluate(const LayerProblem& problem, const Assignment& assignment) {
  std::vector<std::int64_t> load(problem.ranks);
  double sum = 0;
  for (std::size_t t = 0; t < problem.steps; ++t) {
    std::fill(load.begin(), load.end(), 0);
    for (std::size_t e = 0; e < problem.experts; ++e) {
      const auto r = static_cast<std::size_t>(assignment[e]);
      load[r] += problem.costs.units(r, problem.tokens(e, t));
    }
    double slowest = 0;
    for (std::size_t r = 0; r < problem.ranks; ++r)
      slowest = std::max(slowest, problem.costs.of(r)(load[r]));
    sum += slowest;
  }
  return sum;
}

bool holds_replica(const LayerProblem& problem, const Assignment& assignment, std::size_t expert,
                   std::int32_t rank) {
  if (expert >= problem.replica_of.size()) return false;
  for (std::size_t e = 0; e < problem.replica_of.size(); ++e)
    if (e != expert && assignment[e] == rank && problem.replica_of[e] == problem.replica_of[expert])
      return true;
  return false;
}

bool separate_replicas(const LayerProblem& problem, Assignment& assignment) {
  bool apart = true;
  for (std::size_t e = 0; e < problem.replica_of.size(); ++e) {
    const auto rank = assignment[e];
    if (!holds_replica(problem, assignment, e, rank)) continue;
    std::size_t other = 0;
    while (other < problem.experts &&
           (assignment[other] == rank || holds_replica(problem, assignment, e, assignment[other]) ||
            holds_replica(problem, assignment, other, rank)))
      ++other;
    if (other < problem.experts)
      std::swap(assignment[e], assignment[other]);
    else
      apart = false;
  }
  return apart;
}

}  // namespace gembench::inline search
