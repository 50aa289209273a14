#include "placement/c_api/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline c_api {
namespace {

/// The slots of an expert: how many each of these ranks has.
struct Share {
  std::size_t rank = 0;
  double of = 0;  // its share of the expert's tokens
};

/// [layer][expert] the live ranks that compute it.
std::vector<std::vector<Share>> read_shares(const Problem& problem, const std::int64_t* map) {
  const gembench_problem& given = problem.given;
  std::vector<std::vector<Share>> shares(sz(given.layers) * sz(given.experts));
  for (std::size_t layer = 0; layer < sz(given.layers); ++layer) {
    const std::span here(shares.data() + layer * sz(given.experts), sz(given.experts));
    for (std::size_t i = 0; i < problem.alive.size(); ++i) {
      const std::int64_t* row =
          map + (layer * sz(given.ranks) + sz(problem.alive[i])) * sz(given.slots);
      for (int slot = 0; slot < given.slots; ++slot) {
        if (row[slot] < -1 || row[slot] >= given.experts) {
          throw usage_error(fmt::format("the map names expert {} of {} in layer {}", row[slot],
                                        given.experts, layer));
        }
        if (row[slot] < 0) continue;
        auto& of = here[sz(row[slot])];
        if (of.empty() || of.back().rank != i) of.push_back({i, 0});
        of.back().of += 1;
      }
    }
    for (std::size_t expert = 0; expert < here.size(); ++expert) {
      if (here[expert].empty()) {
        throw usage_error(
            fmt::format("expert {} of layer {} has no slot on a live rank", expert, layer));
      }
      double slots = 0;
      for (const Share& share : here[expert]) slots += share.of;
      for (Share& share : here[expert]) share.of /= slots;
    }
  }
  return shares;
}

std::int64_t count_new(const Problem& problem, const std::vector<std::vector<Share>>& shares) {
  std::int64_t moves = 0;
  for (std::size_t i = 0; problem.previous && i < shares.size(); ++i) {
    const auto layer = static_cast<int>(i / sz(problem.given.experts));
    const auto expert = static_cast<std::int32_t>(i % sz(problem.given.experts));
    for (const Share& share : shares[i]) {
      const auto row = problem.previous->on_rank(layer, static_cast<int>(share.rank));
      moves += std::ranges::find(row, expert) == row.end();
    }
  }
  return moves;
}

}  // namespace

void judge(const Problem& problem, const std::int64_t* map, gembench_score* score) {
  if (map == nullptr || score == nullptr) throw usage_error("map or score is NULL");
  if (score->struct_size < sizeof(std::size_t)) {
    throw usage_error("score.struct_size is not sizeof(gembench_score)");
  }
  const auto shares = read_shares(problem, map);
  const Trace& trace = problem.trace;
  const std::size_t ranks = problem.alive.size(), experts = sz(trace.experts);
  std::vector<double> load(ranks);
  std::vector<std::int64_t> slowest(ranks);
  gembench_score found{};
  double cells = 0;
  for (int step = 0; step < trace.steps; ++step) {
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto tokens = trace.loads(step, layer);
      std::ranges::fill(load, 0);
      for (std::size_t expert = 0; expert < experts; ++expert) {
        if (tokens[expert] == 0) continue;
        for (const Share& share : shares[sz(layer) * experts + expert]) {
          load[share.rank] += share.of * tokens[expert];
        }
      }
      double longest = -1;
      std::size_t last = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const double seconds =
            problem.cost->seconds(static_cast<int>(rank), std::llround(load[rank]));
        if (seconds > longest) {
          longest = seconds;
          last = rank;
        }
      }
      ++slowest[last];
      found.step_seconds += longest;
      const double sum = std::accumulate(load.begin(), load.end(), 0.0);
      const double most = *std::ranges::max_element(load);
      if (sum == 0) continue;
      const double mean = sum / static_cast<double>(ranks);
      found.imbalance += most / mean;
      found.balancedness += mean / most;
      ++cells;
    }
  }
  found.step_seconds /= trace.steps;
  found.imbalance = cells > 0 ? found.imbalance / cells : 1;
  found.balancedness = cells > 0 ? found.balancedness / cells : 1;
  const auto most = std::ranges::max_element(slowest);
  found.straggler = problem.alive[sz(most - slowest.begin())];
  found.straggler_share =
      static_cast<double>(*most) / (static_cast<double>(trace.steps) * trace.layers);
  found.moves = count_new(problem, shares);
  found.struct_size = score->struct_size;
  std::memcpy(score, &found, std::min(score->struct_size, sizeof found));
}

}  // namespace gembench::inline c_api
