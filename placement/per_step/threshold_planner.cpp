#include "placement/per_step/threshold_planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/rank_curves.hpp"

namespace gembench::inline per_step {
namespace {

constexpr int kMostGuesses = 200;  // of the threshold; both ends of its bracket meet long before

/// Tokens of an expert that another rank computes.
struct Quota {
  std::int32_t expert, from, to;
  std::int64_t tokens;
};

/// Working memory of a thread.
struct Scratch {
  std::vector<std::int64_t> load;     // [rank] tokens of its masters
  std::vector<double> finish;         // [rank] of these
  std::vector<std::int32_t> order;    // ranks, the latest first
  std::vector<std::int32_t> experts;  // by rank, most tokens first
  std::vector<std::int64_t> room;     // [rank] below the threshold; negative: excess
  std::vector<std::int32_t> free;     // [rank] redundant slots
  std::vector<std::int32_t> holds;    // [rank] the last expert that was copied to it
  std::vector<Quota> quotas, best;
};

class ThresholdPlanner {
 public:
  ThresholdPlanner(const StepInput& input, const CostModel& cost)
      : base_(masters_of(input.placement)),
        curves_(cost),
        each_(input.ranks_per_node > 0 ? std::min(input.ranks_per_node, base_.ranks) : base_.ranks),
        least_(input.least_tokens) {
    for (int rank = 0; rank < base_.ranks; ++rank) {
      ranks_.push_back(rank);
      idle_ = std::max(idle_, curves_.idle(rank));
    }
    for (int layer = 0; layer < base_.layers; ++layer)
      for (int rank = 0; rank < base_.ranks; ++rank) {
        first_.push_back(static_cast<std::int32_t>(masters_.size()));
        for (const auto expert : base_.on_rank(layer, rank))
          if (expert >= 0) masters_.push_back(expert);
      }
    first_.push_back(static_cast<std::int32_t>(masters_.size()));
  }

  [[nodiscard]] const Placement& base() const { return base_; }

  void plan(std::span<const std::int32_t> tokens, int layer, StepPlan& plan) const {
    thread_local Scratch s;
    begin(tokens, layer, s);
    s.best.clear();
    auto low = least_threshold(s);
    auto high = s.finish[sz(s.order[0])];  // nothing moves
    for (int guess = 0; low < high && guess < kMostGuesses; ++guess) {
      const auto middle = low + (high - low) / 2;
      const auto level = guess > 0 && middle < high ? middle : low;
      if (hand_over(tokens, layer, level, s)) {
        high = std::min(level, slowest(s));
        s.best.swap(s.quotas);
      } else {
        low = std::max(next_after(level), std::nextafter(level, high));
      }
    }
    write(tokens, layer, s.best, plan);
  }

 private:
  [[nodiscard]] std::span<const std::int32_t> masters(int layer, std::size_t rank) const {
    const auto row = static_cast<std::size_t>(layer) * ranks_.size() + rank;
    return std::span(masters_).subspan(sz(first_[row]), sz(first_[row + 1] - first_[row]));
  }

  void begin(std::span<const std::int32_t> tokens, int layer, Scratch& s) const {
    const auto ranks = ranks_.size();
    s.load.assign(ranks, 0);
    s.finish.resize(ranks);
    s.room.resize(ranks);
    s.free.resize(ranks);
    s.holds.resize(ranks);
    s.order = ranks_;
    s.experts.clear();
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const auto begin = static_cast<std::ptrdiff_t>(s.experts.size());
      for (const auto expert : masters(layer, rank)) {
        s.experts.push_back(expert);
        s.load[rank] += tokens[sz(expert)];
      }
      std::stable_sort(s.experts.begin() + begin, s.experts.end(),
                       [&](auto a, auto b) { return tokens[sz(a)] > tokens[sz(b)]; });
      s.finish[rank] = curves_.seconds(static_cast<int>(rank), s.load[rank]);
    }
    std::stable_sort(s.order.begin(), s.order.end(),
                     [&](auto a, auto b) { return s.finish[sz(a)] > s.finish[sz(b)]; });
  }

  /// Below this not even all slots would do: tokens stay on their node.
  [[nodiscard]] double least_threshold(const Scratch& s) const {
    double least = idle_;
    for (std::size_t first = 0; first < ranks_.size(); first += sz(each_)) {
      const auto count = std::min(sz(each_), ranks_.size() - first);
      const auto from = s.load.begin() + static_cast<std::ptrdiff_t>(first);
      const auto all =
          std::accumulate(from, from + static_cast<std::ptrdiff_t>(count), std::int64_t{0});
      least = curves_.least_seconds(std::span(ranks_).subspan(first, count), all, least);
    }
    return least;
  }

  /// The rank of `from`'s node that takes most of the expert; -1: none takes enough.
  [[nodiscard]] std::int32_t target(std::int32_t from, std::int32_t expert,
                                    const Scratch& s) const {
    const auto begin = from - from % each_;
    const auto end = std::min(begin + each_, base_.ranks);
    std::int32_t found = -1;
    for (auto rank = begin; rank < end; ++rank) {
      if (s.free[sz(rank)] == 0 || s.holds[sz(rank)] == expert || rank == from) continue;
      if (s.room[sz(rank)] < least_) continue;
      if (found < 0 || s.room[sz(rank)] > s.room[sz(found)]) found = rank;
    }
    return found;
  }

  /// Fills s.quotas so that every rank ends by `level`; false if that fails.
  [[nodiscard]] bool hand_over(std::span<const std::int32_t> tokens, int layer, double level,
                               Scratch& s) const {
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      s.room[rank] = curves_.tokens_within(static_cast<int>(rank), level) - s.load[rank];
      s.free[rank] = base_.slots - static_cast<std::int32_t>(masters(layer, rank).size());
      s.holds[rank] = -1;
    }
    s.quotas.clear();
    const auto layer_begin = first_[static_cast<std::size_t>(layer) * ranks_.size()];
    for (const auto from : s.order) {
      const auto own = masters(layer, sz(from));
      const auto begin =
          first_[static_cast<std::size_t>(layer) * ranks_.size() + sz(from)] - layer_begin;
      for (std::size_t i = 0; i < own.size() && s.room[sz(from)] < 0; ++i) {
        const auto expert = s.experts[sz(begin) + i];
        std::int64_t left = tokens[sz(expert)];
        while (s.room[sz(from)] < 0 && left >= least_) {
          const auto to = target(from, expert, s);
          if (to < 0) break;
          const auto quota = std::min({left, std::max(-s.room[sz(from)], least_), s.room[sz(to)]});
          s.quotas.push_back({expert, from, to, quota});
          s.room[sz(from)] += quota;
          s.room[sz(to)] -= quota;
          --s.free[sz(to)];
          s.holds[sz(to)] = expert;
          left -= quota;
        }
      }
      if (s.room[sz(from)] < 0) return false;
    }
    return true;
  }

  /// Of s.quotas.
  [[nodiscard]] double slowest(Scratch& s) const {
    auto& load = s.room;  // of no use any more
    load = s.load;
    for (const auto& quota : s.quotas) {
      load[sz(quota.from)] -= quota.tokens;
      load[sz(quota.to)] += quota.tokens;
    }
    double most = 0;
    for (std::size_t rank = 0; rank < load.size(); ++rank)
      most = std::max(most, curves_.seconds(static_cast<int>(rank), load[rank]));
    return most;
  }

  /// The least time at which a rank takes a token more than by `level`.
  [[nodiscard]] double next_after(double level) const {
    auto next = std::numeric_limits<double>::infinity();
    for (const auto rank : ranks_) {
      const auto most = curves_.tokens_within(rank, level);
      if (most < RankCurves::kEndless) next = std::min(next, curves_.seconds(rank, most + 1));
    }
    return next;
  }

  void write(std::span<const std::int32_t> tokens, int layer, std::span<const Quota> quotas,
             StepPlan& plan) const {
    const auto slots = sz(base_.slots);
    plan.expert.clear();
    plan.tokens.clear();
    plan.fetched.assign(ranks_.size(), 0);
    for (const auto rank : ranks_)
      for (const auto expert : base_.on_rank(layer, rank)) {
        plan.expert.push_back(expert);
        plan.tokens.push_back(expert >= 0 ? tokens[sz(expert)] : 0);
      }
    for (const auto& [expert, from, to, count] : quotas) {
      const auto cell = [&](std::int32_t rank, std::int32_t wanted) {
        const auto begin = plan.expert.begin() + static_cast<std::ptrdiff_t>(sz(rank) * slots);
        return static_cast<std::size_t>(
            std::find(begin, begin + static_cast<std::ptrdiff_t>(slots), wanted) -
            plan.expert.begin());
      };
      plan.tokens[cell(from, expert)] -= count;
      const auto free = cell(to, -1);
      plan.expert[free] = expert;
      plan.tokens[free] = count;
      ++plan.fetched[sz(to)];
    }
  }

  Placement base_;
  RankCurves curves_;
  std::int32_t each_;  // ranks of a node
  std::int64_t least_;
  std::vector<std::int32_t> ranks_;    // all
  double idle_ = 0;                    // the longest
  std::vector<std::int32_t> masters_;  // [layer][rank] ...
  std::vector<std::int32_t> first_;    // [layer][rank] + 1, into masters_
};

}  // namespace

Placement masters_of(const Placement& placement) {
  validate(placement);
  Placement masters = placement;
  std::vector<std::vector<std::int32_t>> hosts;
  std::vector<std::int32_t> held;
  for (int layer = 0; layer < placement.layers; ++layer) {
    hosts.assign(sz(placement.experts), {});
    held.assign(sz(placement.ranks), 0);
    for (int rank = 0; rank < placement.ranks; ++rank)
      for (const auto expert : placement.on_rank(layer, rank))
        if (expert >= 0) hosts[sz(expert)].push_back(rank);
    for (const auto& of : hosts)
      if (of.size() == 1) ++held[sz(of[0])];
    for (std::size_t expert = 0; expert < hosts.size(); ++expert) {
      const auto& of = hosts[expert];
      if (of.size() == 1) continue;
      const auto stays = *std::min_element(
          of.begin(), of.end(), [&](auto a, auto b) { return held[sz(a)] < held[sz(b)]; });
      ++held[sz(stays)];
      for (const auto rank : of) {
        const auto slots = masters.on_rank(layer, rank);
        if (rank != stays)
          std::replace(slots.begin(), slots.end(), static_cast<std::int32_t>(expert), -1);
      }
    }
  }
  return masters;
}

PreparedSystem plan_by_threshold(const StepInput& input, const CostModel& cost) {
  require_same_ranks(input.placement, cost);
  if (input.least_tokens < 1)
    throw usage_error(
        fmt::format("a replica of {} tokens is none; give at least 1 token", input.least_tokens));
  const auto planner = std::make_shared<const ThresholdPlanner>(input, cost);
  return {planner->base(), [planner](std::span<const std::int32_t> tokens, int layer,
                                     StepPlan& plan) { planner->plan(tokens, layer, plan); }};
}

}  // namespace gembench::inline per_step
