#include "placement/search/starts.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace gembench::inline search {
namespace {

/// Places experts in order of falling load; keeps only the state of the ranks that a greedy
/// insertion needs.
template <class Units>
class Insertion {
 public:
  Insertion(const LayerProblem& problem, Isa isa)
      : p_(problem),
        mask_of_(step_mask<Units>(isa)),
        load_(p_.ranks * p_.stride),
        room_(p_.ranks * p_.stride),
        age_(p_.ranks, kStale),
        slowest_(p_.steps, 0),
        none_(p_.stride),
        row_(p_.stride),
        mask_(p_.stride / 64) {
    double idle = 0;
    for (std::size_t r = 0; r < p_.ranks; ++r) idle = std::max(idle, p_.costs.of(r)(0));
    std::fill(slowest_.begin(), slowest_.end(), idle);
  }

  Assignment run() {
    Assignment assignment(p_.experts, -1);
    std::vector<std::size_t> free(p_.ranks, p_.slots);
    std::vector<std::int64_t> sum(p_.ranks, 0);
    std::vector<std::pair<double, std::size_t>> order;  // ranks by when they would finish by means
    for (auto e : p_.by_total) {
      if (p_.pulse) p_.pulse();
      order.clear();
      for (std::size_t r = 0; r < p_.ranks; ++r) {
        const auto slope = std::max(0.0, p_.costs.model().mean_slope(static_cast<int>(r)));
        if (free[r] > 0) order.emplace_back(slope * static_cast<double>(sum[r] + p_.totals[e]), r);
      }
      if (!p_.replica_of.empty()) {  // only where no replica is, if there is such a rank
        const auto held = std::stable_partition(order.begin(), order.end(), [&](const auto& one) {
          return !holds_replica(p_, assignment, e, static_cast<std::int32_t>(one.second));
        });
        if (held != order.begin()) order.erase(held, order.end());
      }
      std::sort(order.begin(), order.end());
      // The first of those under which the objective grows least; many grow nothing.
      auto best = order.front().second;
      auto least = std::numeric_limits<double>::infinity();
      for (const auto& [finish, r] : order) {
        const auto growth = growth_of(e, r, least);
        if (!growth) continue;
        best = r;
        least = *growth;
        if (least <= 0) break;
      }
      insert(e, best);
      assignment[e] = static_cast<std::int32_t>(best);
      sum[best] += p_.totals[e];
      --free[best];
    }
    return assignment;
  }

 private:
  // Growing ranks only make room; after this many insertions a row is worth computing again (ours).
  static constexpr int kStale = 16;

  const Units* units_of(std::size_t e, std::size_t r) {
    const auto* tokens = p_.template tokens_of<Units>(e);
    if (!p_.costs.by_rank()) return tokens;
    for (std::size_t t = 0; t < p_.steps; ++t)
      row_[t] = static_cast<Units>(p_.costs.units(r, tokens[t]));
    return row_.data();
  }

  void make_room(std::size_t r) {
    for (std::size_t t = 0; t < p_.steps; ++t)
      room_[r * p_.stride + t] = room_units<Units>(
          p_.costs.load_within(r, p_.costs.level(slowest_[t])), load_[r * p_.stride + t]);
    age_[r] = 0;
  }

  /// Seconds the objective grows by with the expert on the rank; nothing unless below `most`.
  std::optional<double> growth_of(std::size_t e, std::size_t r, double most) {
    if (age_[r] >= kStale) make_room(r);
    const auto* units = units_of(e, r);
    const auto* none = none_.data();
    mask_of_({none, units, none, none, room_.data() + r * p_.stride, none}, mask_.size(),
             mask_.data());
    const auto& cost = p_.costs.of(r);
    const auto* load = load_.data() + r * p_.stride;
    double sum = 0;
    for (std::size_t word = 0; word < mask_.size(); ++word) {
      for (auto bits = mask_[word]; bits != 0; bits &= bits - 1) {
        const auto t = word * 64 + static_cast<std::size_t>(__builtin_ctzll(bits));
        const auto more = cost(load[t] + units[t]) - slowest_[t];
        if (more > 0) sum += more;
      }
      if (!(sum < most)) return std::nullopt;  // a part of the sum is no value
    }
    return sum;
  }

  void insert(std::size_t e, std::size_t r) {
    const auto* units = units_of(e, r);
    for (std::size_t t = 0; t < p_.steps; ++t) {
      auto& load = load_[r * p_.stride + t];
      load += units[t];
      slowest_[t] = std::max(slowest_[t], p_.costs.of(r)(load));
    }
    for (auto& age : age_) ++age;
    age_[r] = kStale;
  }

  const LayerProblem& p_;
  StepMask<Units> mask_of_;
  std::vector<std::int32_t> load_;  // [rank][stride]
  std::vector<Units> room_;         // [rank][stride]
  std::vector<int> age_;            // [rank] insertions since its room was computed
  std::vector<double> slowest_;     // [step]
  std::vector<Units> none_;         // [stride] zeros
  std::vector<Units> row_;          // [stride] scratch
  std::vector<std::uint64_t> mask_;
};

}  // namespace

Assignment blocks(const std::vector<std::int32_t>& order, std::size_t slots) {
  Assignment assignment(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    assignment[static_cast<std::size_t>(order[i])] = static_cast<std::int32_t>(i / slots);
  return assignment;
}

Assignment speed_weighted_lpt(const LayerProblem& problem) {
  Assignment assignment(problem.experts);
  std::vector<std::int64_t> sum(problem.ranks, 0);
  std::vector<std::size_t> free(problem.ranks, problem.slots);
  for (auto e : problem.by_total) {
    auto best = problem.ranks;
    std::pair<double, std::int64_t> least;  // finish, then load: equal speeds or flat curves tie
    for (std::size_t r = 0; r < problem.ranks; ++r) {
      if (free[r] == 0) continue;
      const auto slope = std::max(0.0, problem.costs.model().mean_slope(static_cast<int>(r)));
      const std::pair finish(slope * static_cast<double>(sum[r] + problem.totals[e]), sum[r]);
      if (best == problem.ranks || finish < least) {
        best = r;
        least = finish;
      }
    }
    assignment[e] = static_cast<std::int32_t>(best);
    sum[best] += problem.totals[e];
    --free[best];
  }
  return assignment;
}

Assignment greedy(const LayerProblem& problem, Isa isa) {
  return problem.costs.narrow() ? Insertion<std::int16_t>(problem, isa).run()
                                : Insertion<std::int32_t>(problem, isa).run();
}

}  // namespace gembench::inline search
