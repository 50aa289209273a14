#include "placement/c_api/planner.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "placement/base/random.hpp"

namespace gembench {
namespace {

using Map = std::vector<std::int64_t>;

/// A gembench_problem with the arrays that it points to.
struct Case {
  std::vector<std::int32_t> loads;
  std::vector<double> speeds;
  Map previous;
  gembench_problem problem = gembench_no_problem();

  [[nodiscard]] std::size_t cells() const {
    return static_cast<std::size_t>(problem.layers) * static_cast<std::size_t>(problem.ranks) *
           static_cast<std::size_t>(problem.slots);
  }
};

struct Planned {
  int status = -1;
  Map map;
  std::string message;
};

Planned plan(const gembench_problem& problem) {
  Planned planned;
  planned.map.assign(static_cast<std::size_t>(problem.layers) *
                         static_cast<std::size_t>(problem.ranks) *
                         static_cast<std::size_t>(problem.slots),
                     -7);
  char message[256] = "unset";
  planned.status = gembench_plan(&problem, planned.map.data(), message, sizeof message);
  planned.message = message;
  return planned;
}

/// The rules of the engines' loaders, and ours for dead ranks; empty: legal.
std::string fault(const gembench_problem& problem, const Map& map) {
  for (int layer = 0; layer < problem.layers; ++layer) {
    std::set<std::int64_t> there;
    for (int rank = 0; rank < problem.ranks; ++rank) {
      std::set<std::int64_t> here;
      const bool dead = problem.speeds != nullptr && problem.speeds[rank] == 0;
      for (int slot = 0; slot < problem.slots; ++slot) {
        const auto at = (layer * problem.ranks + rank) * problem.slots + slot;
        const auto expert = map[static_cast<std::size_t>(at)];
        if (dead != (expert == -1)) return "a slot is empty, or a dead rank's is not";
        if (dead) continue;
        if (expert < 0 || expert >= problem.experts) return "an unknown expert";
        if (!here.insert(expert).second) return "an expert is twice on a rank";
      }
      there.insert(here.begin(), here.end());
    }
    if (std::ssize(there) != problem.experts) return "an expert is missing";
  }
  return "";
}

/// Experts that stay on their rank but not in their slot.
int changed_slots(const gembench_problem& problem, const Map& before, const Map& after) {
  int changed = 0;
  const auto slots = static_cast<std::size_t>(problem.slots);
  for (std::size_t row = 0; row < before.size(); row += slots) {
    std::map<std::int64_t, std::size_t> first;  // expert -> its first slot before
    for (std::size_t slot = row; slot < row + slots; ++slot) first.try_emplace(before[slot], slot);
    for (std::size_t slot = row; slot < row + slots; ++slot) {
      const auto had = first.find(after[slot]);
      if (after[slot] >= 0 && had != first.end() && had->second != slot) ++changed;
    }
  }
  return changed;
}

constexpr const char* kStrategies[] = {"gem",    "eplb",   "flashlb", "vibe",
                                       "linear", "random", "gem+"};

/// Any problem that planners must solve: empty rows and layers, dead and slow ranks, an earlier map
/// that may be illegal.
Case random_case(Random& random) {
  Case made;
  gembench_problem& p = made.problem;
  const auto pick = [&](int low, int high) {
    return low + static_cast<int>(random.below(static_cast<std::uint64_t>(high - low + 1)));
  };
  p.ranks = pick(1, 6);
  p.experts = pick(1, 14);
  p.steps = pick(1, 5);
  p.layers = pick(1, 3);
  int live = p.ranks;
  if (pick(0, 1) == 0) {
    for (int rank = 0; rank < p.ranks; ++rank) {
      const bool dies = live > 1 && pick(0, 4) == 0;
      live -= dies ? 1 : 0;
      made.speeds.push_back(dies ? 0 : 0.5 + random.uniform());
    }
    p.speeds = made.speeds.data();
  }
  const int least = (p.experts + live - 1) / live;
  p.slots = pick(least, std::min(p.experts, least + 2));
  for (std::int64_t row = 0; row < p.steps * p.layers; ++row) {
    const int most = pick(0, 3) == 0 ? 0 : pick(1, 500);
    for (int expert = 0; expert < p.experts; ++expert) made.loads.push_back(pick(0, most));
  }
  p.loads32 = made.loads.data();
  if (pick(0, 1) == 0) {
    for (std::size_t i = 0; i < made.cells(); ++i) made.previous.push_back(pick(-1, p.experts - 1));
    p.previous = made.previous.data();
    p.max_moves = pick(0, 3);
  }
  p.strategy = kStrategies[pick(0, static_cast<int>(std::size(kStrategies)) - 1)];
  p.seed = random.next();
  return made;
}

TEST(Planner, makes_legal_maps_of_any_problem_with_any_number_of_threads) {
  Random random(1);
  for (int trial = 0; trial < 1500; ++trial) {
    Case made = random_case(random);
    gembench_problem& p = made.problem;
    p.threads = 1;
    const Planned one = plan(p);
    ASSERT_EQ(one.status, GEMBENCH_OK) << one.message << " in trial " << trial;
    ASSERT_EQ(one.message, "");
    ASSERT_EQ(fault(p, one.map), "") << p.strategy << " in trial " << trial;
    if (p.previous != nullptr) {
      ASSERT_EQ(changed_slots(p, made.previous, one.map), 0) << p.strategy << " in trial " << trial;
    }
    p.threads = 3;
    ASSERT_EQ(plan(p).map, one.map) << p.strategy << " in trial " << trial;
    const std::vector<std::int64_t> wide(made.loads.begin(), made.loads.end());
    p.loads32 = nullptr;
    p.loads64 = wide.data();
    ASSERT_EQ(plan(p).map, one.map) << p.strategy << " in trial " << trial;
  }
}

/// Two layers of eight experts on four ranks; expert 0 is hot.
Case hot_case() {
  Case made;
  gembench_problem& p = made.problem;
  p.steps = 3;
  p.layers = 2;
  p.experts = 8;
  p.ranks = 4;
  p.slots = 3;
  for (int row = 0; row < 6; ++row) made.loads.insert(made.loads.end(), {90, 8, 7, 6, 5, 4, 3, 2});
  p.loads32 = made.loads.data();
  return made;
}

TEST(Planner, order_of_steps_and_empty_ones_change_nothing) {
  Case made = hot_case();
  Random random(3);
  for (auto& load : made.loads) load += static_cast<std::int32_t>(random.below(40));
  const Planned plain = plan(made.problem);
  std::vector<std::int32_t> ring(made.loads.begin() + 16, made.loads.end());  // begins with step 1
  ring.insert(ring.end(), 32, 0);                                             // two unused rows
  ring.insert(ring.end(), made.loads.begin(), made.loads.begin() + 16);
  made.problem.loads32 = ring.data();
  made.problem.steps = 5;
  EXPECT_EQ(plan(made.problem).map, plain.map);
}

TEST(Planner, few_moves_are_no_more_than_asked_for_and_help) {
  Case made = hot_case();
  gembench_problem& p = made.problem;
  p.strategy = "linear";
  made.previous = plan(p).map;
  gembench_score before = gembench_no_score();
  ASSERT_EQ(gembench_judge(&p, made.previous.data(), &before, nullptr, 0), GEMBENCH_OK);
  p.previous = made.previous.data();
  p.strategy = "gem";
  double last = before.step_seconds;
  for (const int moves : {1, 2, 4}) {
    p.max_moves = moves;
    const Planned planned = plan(p);
    ASSERT_EQ(planned.status, GEMBENCH_OK) << planned.message;
    gembench_score after = gembench_no_score();
    ASSERT_EQ(gembench_judge(&p, planned.map.data(), &after, nullptr, 0), GEMBENCH_OK);
    EXPECT_LE(after.moves, moves * p.layers);
    EXPECT_LE(after.step_seconds, last);
    last = after.step_seconds;
  }
  EXPECT_LT(last, before.step_seconds);
}

TEST(Planner, a_plan_that_differs_in_the_order_of_ranks_only_moves_nothing) {
  Case made = hot_case();
  gembench_problem& p = made.problem;
  p.strategy = "eplb";
  const Map plain = plan(p).map;
  made.previous = plain;
  std::ranges::rotate(made.previous.begin(), made.previous.begin() + 3,
                      made.previous.begin() + 12);  // the rows of layer 0
  p.previous = made.previous.data();
  EXPECT_EQ(plan(p).map, made.previous);
  // Where ranks differ in speed, a row belongs to its rank.
  made.speeds = {1, 1.5, 0.5, 0.75};
  p.speeds = made.speeds.data();
  EXPECT_NE(plan(p).map, made.previous);
}

TEST(Planner, slow_ranks_get_less) {
  Case made = hot_case();
  gembench_problem& p = made.problem;
  made.speeds = {1, 1, 1, 0.25};
  p.speeds = made.speeds.data();
  gembench_score blind = gembench_no_score(), aware = gembench_no_score();
  p.strategy = "eplb";
  ASSERT_EQ(gembench_judge(&p, plan(p).map.data(), &blind, nullptr, 0), GEMBENCH_OK);
  p.strategy = "gem";
  ASSERT_EQ(gembench_judge(&p, plan(p).map.data(), &aware, nullptr, 0), GEMBENCH_OK);
  EXPECT_LT(aware.step_seconds, 0.8 * blind.step_seconds);
  EXPECT_EQ(blind.straggler, 3);
}

TEST(Planner, judges_maps_as_engines_run_them) {
  Case made;
  gembench_problem& p = made.problem;
  p.steps = 2;
  p.layers = 1;
  p.experts = 2;
  p.ranks = 2;
  p.slots = 2;
  made.loads = {90, 30, 10, 30};
  p.loads32 = made.loads.data();
  // Expert 0 has two slots on rank 0 and one on rank 1, a third of its tokens each.
  const Map doubled = {0, 0, 0, 1};
  gembench_score score = gembench_no_score();
  ASSERT_EQ(gembench_judge(&p, doubled.data(), &score, nullptr, 0), GEMBENCH_OK);
  EXPECT_NEAR(score.step_seconds, (60 + 33) / 2.0, 1e-9);
  EXPECT_NEAR(score.imbalance, (1 + 100.0 / 3 / 20) / 2, 1e-9);
  EXPECT_NEAR(score.balancedness, (1 + 20 / (100.0 / 3)) / 2, 1e-9);
  const Map lacks = {0, 0, 0, 0};
  char message[128];
  EXPECT_EQ(gembench_judge(&p, lacks.data(), &score, message, sizeof message), GEMBENCH_REFUSED);
  EXPECT_STREQ(message, "expert 1 of layer 0 has no slot on a live rank");
}

TEST(Planner, the_time_limit_and_what_a_strategy_refuses_leave_the_map_in_use) {
  Case made = hot_case();
  gembench_problem& p = made.problem;
  p.time_limit = 1e-12;
  const Planned planned = plan(p);
  EXPECT_EQ(planned.status, GEMBENCH_FALLBACK);
  EXPECT_EQ(planned.message, "the time limit ended planning");
  EXPECT_EQ(fault(p, planned.map), "");
  p.strategy = "round-robin";
  p.time_limit = 0;
  made.previous = plan(p).map;
  p.previous = made.previous.data();
  p.strategy = "gem";
  p.time_limit = 1e-12;
  EXPECT_EQ(plan(p).map, made.previous);
  p.time_limit = 0;
  p.strategy = "eplb-hier";
  p.nodes = 3;  // do not divide four ranks
  EXPECT_EQ(plan(p).status, GEMBENCH_FALLBACK);
  EXPECT_EQ(plan(p).map, made.previous);
}

TEST(Planner, a_dead_rank_is_emptied_and_little_else_moves) {
  Case made = hot_case();
  gembench_problem& p = made.problem;
  made.previous = plan(p).map;
  p.previous = made.previous.data();
  made.speeds = {1, 0, 1, 1};
  p.speeds = made.speeds.data();
  p.max_moves = 1;
  const Planned planned = plan(p);
  ASSERT_EQ(planned.status, GEMBENCH_OK) << planned.message;
  EXPECT_EQ(fault(p, planned.map), "");
  gembench_score score = gembench_no_score();
  ASSERT_EQ(gembench_judge(&p, planned.map.data(), &score, nullptr, 0), GEMBENCH_OK);
  EXPECT_LE(score.moves, p.layers * (p.slots + p.max_moves));
}

TEST(Planner, totals_beyond_32_bits_and_tables_of_latencies_are_taken) {
  Case made = hot_case();
  gembench_problem& p = made.problem;
  gembench_score narrow = gembench_no_score(), scaled = gembench_no_score();
  ASSERT_EQ(gembench_judge(&p, plan(p).map.data(), &narrow, nullptr, 0), GEMBENCH_OK);
  std::vector<std::int64_t> wide(made.loads.begin(), made.loads.end());
  for (auto& load : wide) load <<= 40;
  p.loads32 = nullptr;
  p.loads64 = wide.data();
  ASSERT_EQ(gembench_judge(&p, plan(p).map.data(), &scaled, nullptr, 0), GEMBENCH_OK);
  EXPECT_NEAR(scaled.imbalance, narrow.imbalance, 1e-6);

  Case table = hot_case();
  const std::vector<std::int64_t> points = {0, 50, 100};
  std::vector<double> latency;
  for (int rank = 0; rank < 4; ++rank)
    latency.insert(latency.end(), {0, 1e-4, rank == 2 ? 9e-4 : 2e-4});
  table.problem.load_points = points.data();
  table.problem.load_point_count = 3;
  table.problem.latency = latency.data();
  const Planned planned = plan(table.problem);
  ASSERT_EQ(planned.status, GEMBENCH_OK) << planned.message;
  EXPECT_EQ(fault(table.problem, planned.map), "");
}

TEST(Planner, what_makes_no_problem_is_refused_in_a_sentence) {
  const auto refused = [](auto change) {
    Case made = hot_case();
    change(made);
    const Planned planned = plan(made.problem);
    EXPECT_EQ(planned.status, GEMBENCH_REFUSED) << planned.message;
    EXPECT_EQ(std::ranges::count(planned.map, -7), std::ssize(planned.map)) << "it was written to";
    return planned.message;
  };
  EXPECT_EQ(refused([](Case& c) { c.problem.loads32 = nullptr; }),
            "set exactly one of loads32 and loads64");
  EXPECT_EQ(refused([](Case& c) { c.problem.slots = 1; }),
            "4 live ranks with 1 slots cannot hold 8 experts");
  EXPECT_EQ(refused([](Case& c) { c.problem.slots = 9; }), "slots must be 1 to experts");
  EXPECT_EQ(refused([](Case& c) { c.loads[9] = -1; }),
            "step 0, layer 1: loads are below 0 or sum beyond 64 bits");
  EXPECT_EQ(refused([](Case& c) {
              c.previous.assign(c.cells(), 8);
              c.problem.previous = c.previous.data();
            }),
            "the previous map names expert 8 of 8 in layer 0");
  for (const double speed : {-1.0, 1e-9, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_NE(refused([&](Case& c) {
                c.speeds = {1, speed, 1, 1};
                c.problem.speeds = c.speeds.data();
              }).find("the speed of rank 1"),
              std::string::npos);
  }
  EXPECT_NE(refused([](Case& c) { c.problem.struct_size = 3; }).find("struct_size"),
            std::string::npos);
  EXPECT_NE(refused([](Case& c) { c.problem.steps = 0; }), "");
  EXPECT_NE(refused([](Case& c) { c.problem.strategy = "gme"; }).find("there is no strategy 'gme'"),
            std::string::npos);
  EXPECT_NE(refused([](Case& c) {  // with a map in use, too
              c.previous.assign(c.cells(), 0);
              c.problem.previous = c.previous.data();
              c.problem.max_moves = 1;
              c.problem.strategy = "";
            })
                .find("there is no strategy ''"),
            std::string::npos);
  char message[8];
  EXPECT_EQ(gembench_plan(nullptr, nullptr, message, sizeof message), GEMBENCH_REFUSED);
  EXPECT_STREQ(message, "problem") << "cut to its size";
  EXPECT_EQ(gembench_plan(nullptr, nullptr, nullptr, 0), GEMBENCH_REFUSED);
}

TEST(Planner, a_message_is_cut_between_characters) {
  Case made = hot_case();
  made.problem.strategy = "\u00e9\u20ac\U0001f600";  // of two, three and four bytes
  Map map(made.cells());
  char whole[512];
  ASSERT_EQ(gembench_plan(&made.problem, map.data(), whole, sizeof whole), GEMBENCH_REFUSED);
  const std::string sentence = whole;
  for (std::size_t size = 1; size <= 40; ++size) {
    std::string message(size, '?');
    static_cast<void>(gembench_plan(&made.problem, map.data(), message.data(), size));
    message.resize(std::strlen(message.c_str()));
    ASSERT_EQ(sentence.rfind(message, 0), 0U) << size;
    EXPECT_NE(sentence[message.size()] & 0xC0, 0x80) << message << " of " << size;
    EXPECT_GE(message.size() + 4, size);
  }
}

TEST(Planner, a_table_that_scaling_leaves_nothing_of_is_refused_with_the_reason) {
  Case made = hot_case();
  std::vector<std::int64_t> wide(made.loads.begin(), made.loads.end());
  for (auto& load : wide) load <<= 40;
  const std::vector<std::int64_t> points = {0, 100};
  const std::vector<double> latency = {0, 1, 0, 1, 0, 1, 0, 1};
  made.problem.loads32 = nullptr;
  made.problem.loads64 = wide.data();
  made.problem.load_points = points.data();
  made.problem.load_point_count = 2;
  made.problem.latency = latency.data();
  const Planned planned = plan(made.problem);
  EXPECT_EQ(planned.status, GEMBENCH_REFUSED);
  EXPECT_NE(planned.message.find("divided by 131072"), std::string::npos) << planned.message;
}

/// A stack beyond the address space stands for a host's limit: no thread can be started.
TEST(Planner, threads_that_the_host_refuses_do_not_change_the_plan) {
  Case made = hot_case();
  made.problem.threads = 4;
  const Planned expected = plan(made.problem);
  pthread_attr_t before, huge;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_getattr_default_np(&huge), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&huge, std::size_t{1} << 50), 0);
  ASSERT_EQ(pthread_setattr_default_np(&huge), 0);
  const Planned alone = plan(made.problem);
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  EXPECT_EQ(alone.status, GEMBENCH_OK) << alone.message;
  EXPECT_EQ(alone.map, expected.map);
}

/// Older callers have a shorter struct, newer ones a longer one.
TEST(Planner, structs_of_other_versions_are_read) {
  Case made = hot_case();
  struct Newer {
    gembench_problem known;
    std::int64_t more;
  } newer = {made.problem, 0};
  newer.known.struct_size = sizeof newer;
  const Map expected = plan(made.problem).map;
  EXPECT_EQ(plan(newer.known).map, expected);
  newer.more = 1;
  EXPECT_EQ(plan(newer.known).status, GEMBENCH_REFUSED);
  made.problem.struct_size = offsetof(gembench_problem, speeds);
  made.problem.strategy = reinterpret_cast<const char*>(8);  // beyond what it says it has
  EXPECT_EQ(plan(made.problem).map, expected);
}

TEST(Planner, inverts_maps) {
  const Map map = {0, 1, 2, 0, /* layer 1 */ 2, 1, 0, -1};
  std::vector<std::int64_t> slots(12, -7), counts(6, -7);
  EXPECT_EQ(gembench_invert(map.data(), 2, 4, 3, 1, slots.data(), counts.data()), -1);
  EXPECT_EQ(slots[0], -7);
  EXPECT_EQ(gembench_invert(map.data(), 2, 4, 3, 2, slots.data(), counts.data()), 2);
  EXPECT_EQ(slots, (Map{0, 3, 1, -1, 2, -1, 2, -1, 1, -1, 0, -1}));
  EXPECT_EQ(counts, (Map{2, 1, 1, 1, 1, 1}));
  EXPECT_EQ(gembench_invert(map.data(), 2, 4, 2, 2, nullptr, nullptr), -1) << "expert 2 of 2";
  EXPECT_EQ(gembench_planner_version(), std::uint32_t{GEMBENCH_PLANNER_VERSION});
}

}  // namespace
}  // namespace gembench
