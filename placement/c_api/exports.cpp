#include "placement/c_api/planner.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/c_api/judge.hpp"
#include "placement/c_api/kept_slots.hpp"
#include "placement/c_api/problem.hpp"
#include "placement/cost/expert_sums.hpp"
#include "placement/strategies/replan.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline c_api {
namespace {

/// Where `sentence` does not fit, it is cut between two characters of UTF-8.
void say(const std::string& sentence, char* message, std::size_t size) {
  if (message == nullptr || size == 0) return;
  const auto continues = [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
  };
  std::size_t length = std::min(sentence.size(), size - 1);
  while (length > 0 && length < sentence.size() && continues(sentence[length])) --length;
  std::memcpy(message, sentence.data(), length);
  message[length] = '\0';
}

/// Ends planning when the time is up.
PlanWatch until(double seconds) {
  if (seconds <= 0) return {};
  using Clock = std::chrono::steady_clock;
  const std::chrono::duration<double> limit(seconds);
  return [begin = Clock::now(), limit](const PlanStage&) {
    if (Clock::now() - begin > limit) throw usage_error("the time limit ended planning");
  };
}

/// Experts in order, again from the first where slots are left.
Placement in_order(const Problem& problem) {
  const gembench_problem& given = problem.given;
  Placement placement = empty_placement(given.layers, problem.ranks(), given.experts, given.slots);
  const std::size_t slots = sz(problem.ranks()) * sz(given.slots);
  for (std::size_t i = 0; i < placement.slot_expert.size(); ++i) {
    placement.slot_expert[i] = static_cast<std::int32_t>(i % slots % sz(given.experts));
  }
  return placement;
}

Placement plan_afresh(const Problem& problem, const Strategy& strategy, const PlanWatch& watch) {
  const gembench_problem& given = problem.given;
  PlanInput input{problem.trace, *problem.cost};
  input.seed = given.seed;
  input.slots = given.slots;
  input.replicas = problem.ranks() * given.slots - given.experts;
  input.all_replicas = true;
  if (!problem.has_dead()) {  // else nodes have unequal numbers of ranks
    input.nodes = std::max(1, given.nodes);
    input.groups = given.groups;
  }
  input.threads = given.threads;
  input.watch = watch;
  Placement placement = strategy.plan(input);
  if (std::ranges::count(placement.slot_expert, -1) > 0) {  // slots that it left empty
    placement = repaired(std::move(placement), expert_sums(problem.trace), *problem.cost);
  }
  if (problem.previous) {
    match_ranks(*problem.previous, *problem.cost, input.nodes, placement);
    keep_slots(*problem.previous, placement);
  }
  return placement;
}

Placement plan_moves(const Problem& problem, const Strategy& strategy, const PlanWatch& watch) {
  const Placement now = repaired(*problem.previous, expert_sums(problem.trace), *problem.cost);
  ReplanOptions options;
  options.max_moves = problem.given.max_moves;
  options.threads = problem.given.threads;
  options.watch = watch;
  const CostModel equal = equal_speeds(*problem.cost, problem.ranks());
  Placement placement =
      replan(now, problem.trace, strategy.takes.speeds ? *problem.cost : equal, options).placement;
  keep_slots(*problem.previous, placement);
  return placement;
}

int plan(const gembench_problem* given, std::int64_t* map, std::string& said) {
  const Problem problem = read_problem(given);
  if (map == nullptr) throw usage_error("map is NULL");
  const Strategy& strategy =
      find_strategy(problem.given.strategy == nullptr ? "gem" : problem.given.strategy);
  Placement placement;
  int status = GEMBENCH_OK;
  try {
    const PlanWatch watch = until(problem.given.time_limit);
    placement = problem.previous && problem.given.max_moves > 0
                    ? plan_moves(problem, strategy, watch)
                    : plan_afresh(problem, strategy, watch);
    validate(placement);
  } catch (const std::exception& error) {
    said = error.what();
    status = GEMBENCH_FALLBACK;
    placement = problem.previous
                    ? repaired(*problem.previous, expert_sums(problem.trace), *problem.cost)
                    : in_order(problem);
  }
  write_map(problem, placement, map);
  return status;
}

/// Runs `call`, which returns a status; what it throws is said instead.
template <class Call>
int guarded(const Call& call, char* message, std::size_t size) noexcept {
  try {
    std::string said;
    const int status = call(said);
    say(said, message, size);
    return status;
  } catch (const std::bad_alloc&) {
    say("there is too little memory", message, size);
  } catch (const std::exception& error) {
    say(error.what(), message, size);
  }
  return GEMBENCH_REFUSED;
}

}  // namespace
}  // namespace gembench::inline c_api

extern "C" {

uint32_t gembench_planner_version(void) {
  return GEMBENCH_PLANNER_VERSION;
}

int gembench_plan(const gembench_problem* problem, int64_t* map, char* message,
                  size_t message_size) {
  return gembench::guarded([&](std::string& said) { return gembench::plan(problem, map, said); },
                           message, message_size);
}

int gembench_judge(const gembench_problem* problem, const int64_t* map, gembench_score* score,
                   char* message, size_t message_size) {
  return gembench::guarded(
      [&](std::string&) {
        gembench::judge(gembench::read_problem(problem), map, score);
        return static_cast<int>(GEMBENCH_OK);
      },
      message, message_size);
}

int64_t gembench_invert(const int64_t* map, int32_t layers, int32_t all_slots, int32_t experts,
                        int32_t width, int64_t* slots_of, int64_t* counts) {
  if (map == nullptr || layers < 0 || all_slots < 0 || experts < 1 || width < 0) return -1;
  const auto slots = static_cast<std::size_t>(all_slots), wide = static_cast<std::size_t>(width);
  std::int64_t most = 0;
  try {
    std::vector<std::int64_t> used(static_cast<std::size_t>(experts));
    for (const bool writing : {false, true}) {
      if (writing && slots_of != nullptr && most > width) return -1;
      for (std::size_t layer = 0; layer < static_cast<std::size_t>(layers); ++layer) {
        std::ranges::fill(used, 0);
        std::int64_t* to = slots_of == nullptr ? nullptr : slots_of + layer * used.size() * wide;
        if (writing && to != nullptr) std::fill_n(to, used.size() * wide, -1);
        for (std::size_t slot = 0; slot < slots; ++slot) {
          const std::int64_t expert = map[layer * slots + slot];
          if (expert < -1 || expert >= experts) return -1;
          if (expert < 0) continue;
          const auto e = static_cast<std::size_t>(expert);
          if (writing && to != nullptr) {
            to[e * wide + static_cast<std::size_t>(used[e])] = static_cast<std::int64_t>(slot);
          }
          most = std::max(most, ++used[e]);
        }
        if (writing && counts != nullptr) std::ranges::copy(used, counts + layer * used.size());
      }
    }
  } catch (const std::exception&) {
    return -1;
  }
  return most;
}

}  // extern "C"
