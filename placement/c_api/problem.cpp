#include "placement/c_api/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/index.hpp"
#include "placement/cost/expert_sums.hpp"

namespace gembench::inline c_api {
namespace {

/// Tokens of a step and layer that the planner's 32-bit arithmetic has room for.
constexpr std::int64_t kMostTokens = std::int64_t{1} << 30;
constexpr double kLeastSpeed = 1e-6, kMostSpeed = 1e6;
constexpr int kMostRanks = 65536;

/// The caller's struct may be shorter (an older header) or longer (a newer one, whose additions
/// must be unused).
gembench_problem known_fields(const gembench_problem* problem) {
  if (problem == nullptr) throw usage_error("problem is NULL");
  const std::size_t size = problem->struct_size;
  const auto* bytes = reinterpret_cast<const unsigned char*>(problem);
  if (size < sizeof(std::size_t) || size > 4096) {
    throw usage_error("problem.struct_size is not sizeof(gembench_problem)");
  }
  if (size > sizeof(gembench_problem) &&
      std::any_of(bytes + sizeof(gembench_problem), bytes + size, [](auto b) { return b != 0; })) {
    throw usage_error("the problem uses fields that this library does not know: update it");
  }
  gembench_problem known{};
  std::memcpy(&known, problem, std::min(size, sizeof known));
  return known;
}

void require(bool holds, const char* sentence) {
  if (!holds) throw usage_error(sentence);
}

std::vector<std::int32_t> live_ranks(const gembench_problem& given) {
  std::vector<std::int32_t> alive;
  for (std::int32_t rank = 0; rank < given.ranks; ++rank) {
    const double speed = given.speeds == nullptr ? 1 : given.speeds[rank];
    if (speed != 0 && !(speed >= kLeastSpeed && speed <= kMostSpeed)) {
      throw usage_error(fmt::format("the speed of rank {} is {}: use 0, or {} to {}", rank, speed,
                                    kLeastSpeed, kMostSpeed));
    }
    if (speed > 0) alive.push_back(rank);
  }
  if (std::int64_t{given.slots} * std::ssize(alive) < given.experts) {
    throw usage_error(fmt::format("{} live ranks with {} slots cannot hold {} experts",
                                  alive.size(), given.slots, given.experts));
  }
  return alive;
}

/// The sum of a step and layer; nothing for loads below 0 and sums beyond 64 bits. Written so that
/// compilers vectorise 32 bits, of which 65,535 cannot overflow.
template <class T>
std::optional<std::int64_t> sum_of(std::span<const T> loads) {
  std::int64_t sum = 0;
  T signs = 0;
  if constexpr (sizeof(T) == sizeof(std::int32_t)) {
    for (const T load : loads) {
      sum += load;
      signs |= load;
    }
  } else {
    for (const T load : loads) {
      if (__builtin_add_overflow(sum, load, &sum)) return std::nullopt;
      signs |= load;
    }
  }
  if (signs < 0) return std::nullopt;
  return sum;
}

/// Rows with tokens as a trace; `shift`: how often loads were halved to fit; `most_tokens`:
/// the largest sum of a step and layer after that.
template <class T>
Trace read_loads(const T* loads, const gembench_problem& given, int& shift,
                 std::int64_t& most_tokens) {
  const std::size_t experts = sz(given.experts), row = sz(given.layers) * experts;
  static_cast<void>(checked_product({given.steps, given.layers, given.experts}, "loads"));
  std::int64_t most = 0;
  std::vector<std::size_t> kept;
  for (std::size_t step = 0; step < sz(given.steps); ++step) {
    const std::span step_loads(loads + step * row, row);
    bool any = false;
    for (std::size_t layer = 0; layer < sz(given.layers); ++layer) {
      const auto sum = sum_of(step_loads.subspan(layer * experts, experts));
      if (!sum) {
        throw usage_error(
            fmt::format("step {}, layer {}: loads are below 0 or sum beyond 64 bits", step, layer));
      }
      any = any || *sum > 0;
      most = std::max(most, *sum);
    }
    if (any) kept.push_back(step);
  }
  while (most >> shift > kMostTokens) ++shift;
  most_tokens = std::max<std::int64_t>(most >> shift, 1);
  Trace trace;
  trace.steps = static_cast<int>(std::max<std::size_t>(kept.size(), 1));
  trace.layers = given.layers;
  trace.experts = given.experts;
  trace.topk = 1;
  trace.tokens.reserve(sz(trace.steps) * row);
  for (const std::size_t step : kept) {
    const std::span from(loads + step * row, row);
    if constexpr (sizeof(T) == sizeof(std::int32_t)) {
      if (shift == 0) {
        trace.tokens.insert(trace.tokens.end(), from.begin(), from.end());
        continue;
      }
    }
    for (const T load : from) {
      trace.tokens.push_back(static_cast<std::int32_t>(std::int64_t{load} >> shift));
    }
  }
  trace.tokens.resize(sz(trace.steps) * row);  // without any tokens: one step of zeros
  return trace;
}

CostModel read_speeds(const gembench_problem& given, const std::vector<std::int32_t>& alive,
                      int shift, std::int64_t most_tokens) {
  Profile profile;
  profile.ranks = static_cast<int>(alive.size());
  require((given.latency == nullptr) == (given.load_points == nullptr),
          "latency and load_points go together");
  if (given.latency == nullptr) {
    profile = equal_ranks(profile.ranks, most_tokens);
  } else {
    require(given.load_point_count >= 2 && given.load_point_count <= 65536,
            "load_point_count must be 2 to 65536");
    const std::size_t points = sz(given.load_point_count);
    static_cast<void>(checked_product({given.ranks, given.load_point_count}, "latency"));
    std::vector<std::size_t> kept;  // scaled-down points may coincide
    for (std::size_t i = 0; i < points; ++i) {
      const std::int64_t at = given.load_points[i] >> shift;
      require(i == 0 || given.load_points[i] > given.load_points[i - 1],
              "load_points must ascend from 0");
      if (!kept.empty() && at == profile.load_points.back()) continue;
      profile.load_points.push_back(at);
      kept.push_back(i);
    }
    if (kept.size() < 2) {
      throw usage_error(
          fmt::format("loads are so large that they are divided by {}, which leaves nothing of a "
                      "table up to load {}: give loads of single steps, or a longer table",
                      std::int64_t{1} << shift, given.load_points[points - 1]));
    }
    for (const std::int32_t rank : alive) {
      for (const std::size_t i : kept) {
        profile.latency.push_back(given.latency[sz(rank) * points + i]);
      }
    }
    profile.spread.assign(profile.latency.size(), 0);
    profile.overhead.assign(alive.size(), 0);
    profile.slowdown.assign(alive.size(), 1);
  }
  for (std::size_t i = 0; given.speeds != nullptr && i < alive.size(); ++i) {
    stretch(profile, static_cast<int>(i), 1 / given.speeds[alive[i]]);
  }
  CostModel cost(profile);
  require_speeds(cost);
  return given.steps_in_row > 1 ? over_steps(cost, given.steps_in_row) : cost;
}

/// The previous map of the live ranks. A rank computes an expert once: its second slot is empty.
Placement read_previous(const gembench_problem& given, const std::vector<std::int32_t>& alive) {
  Placement placement =
      empty_placement(given.layers, static_cast<int>(alive.size()), given.experts, given.slots);
  placement.strategy = "previous";
  std::vector<std::size_t> seen(sz(given.experts));  // the (layer, rank) an expert was last seen on
  std::size_t here = 0;
  for (int layer = 0; layer < given.layers; ++layer) {
    for (std::size_t i = 0; i < alive.size(); ++i) {
      ++here;
      const std::int64_t* row =
          given.previous + (sz(layer) * sz(given.ranks) + sz(alive[i])) * sz(given.slots);
      const auto to = placement.on_rank(layer, static_cast<int>(i));
      for (std::size_t slot = 0; slot < to.size(); ++slot) {
        const std::int64_t expert = row[slot];
        if (expert < -1 || expert >= given.experts) {
          throw usage_error(fmt::format("the previous map names expert {} of {} in layer {}",
                                        expert, given.experts, layer));
        }
        if (expert < 0 || seen[sz(expert)] == here) continue;
        seen[sz(expert)] = here;
        to[slot] = static_cast<std::int32_t>(expert);
      }
    }
  }
  return placement;
}

}  // namespace

Problem read_problem(const gembench_problem* problem) {
  Problem read;
  gembench_problem& given = read.given = known_fields(problem);
  require((given.loads32 == nullptr) != (given.loads64 == nullptr),
          "set exactly one of loads32 and loads64");
  require(given.steps >= 1 && given.steps <= std::numeric_limits<std::int32_t>::max(),
          "steps must be at least 1");
  require(given.layers >= 1, "layers must be at least 1");
  require(given.experts >= 1 && given.experts < kMaxExperts, "experts must be 1 to 65535");
  require(given.ranks >= 1 && given.ranks <= kMostRanks, "ranks must be 1 to 65536");
  require(given.slots >= 1 && given.slots <= given.experts, "slots must be 1 to experts");
  require(given.nodes >= 0 && given.groups >= 0 && given.steps_in_row >= 0 &&
              given.max_moves >= 0 && given.threads >= 0 && given.time_limit >= 0,
          "nodes, groups, steps_in_row, max_moves, threads and time_limit may not be below 0");
  static_cast<void>(checked_product({given.layers, given.ranks, given.slots}, "the map"));
  read.alive = live_ranks(given);
  int shift = 0;
  std::int64_t most_tokens = 0;
  read.trace = given.loads32 != nullptr ? read_loads(given.loads32, given, shift, most_tokens)
                                        : read_loads(given.loads64, given, shift, most_tokens);
  read.cost = read_speeds(given, read.alive, shift, most_tokens);
  if (given.previous != nullptr) read.previous = read_previous(given, read.alive);
  return read;
}

void write_map(const Problem& problem, const Placement& placement, std::int64_t* map) {
  const gembench_problem& given = problem.given;
  std::fill_n(map, sz(given.layers) * sz(given.ranks) * sz(given.slots), -1);
  for (int layer = 0; layer < placement.layers; ++layer) {
    for (std::size_t i = 0; i < problem.alive.size(); ++i) {
      const auto row = placement.on_rank(layer, static_cast<int>(i));
      std::ranges::copy(
          row, map + (sz(layer) * sz(given.ranks) + sz(problem.alive[i])) * sz(given.slots));
    }
  }
}

}  // namespace gembench::inline c_api
