// gembench._planner: the C library for Python. Arrays are checked and converted in __init__.py.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "placement/c_api/planner.h"

namespace nb = nanobind;

namespace gembench::inline python {
namespace {

template <class T, std::size_t N>
using In = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
using Map = nb::ndarray<std::int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

/// A gembench_problem and the arrays that it borrows.
struct Problem {
  std::optional<In<std::int32_t, 3>> loads32;
  std::optional<In<std::int64_t, 3>> loads64;
  std::optional<In<double, 1>> speeds;
  std::optional<In<std::int64_t, 1>> load_points;
  std::optional<In<double, 2>> latency;
  std::optional<In<std::int64_t, 2>> previous;
  std::string strategy;
  gembench_problem problem = gembench_no_problem();
};

void require(bool holds, const char* sentence) {
  if (!holds) throw nb::value_error(sentence);
}

Problem make(std::optional<In<std::int32_t, 3>> loads32, std::optional<In<std::int64_t, 3>> loads64,
             int ranks, int slots, std::optional<In<double, 1>> speeds,
             std::optional<In<std::int64_t, 1>> load_points, std::optional<In<double, 2>> latency,
             std::optional<In<std::int64_t, 2>> previous) {
  Problem made{std::move(loads32),
               std::move(loads64),
               std::move(speeds),
               std::move(load_points),
               std::move(latency),
               std::move(previous),
               {}};
  gembench_problem& p = made.problem;
  const auto shape = [&](std::size_t axis) {
    const std::size_t size = made.loads32 ? made.loads32->shape(axis) : made.loads64->shape(axis);
    require(size <= INT32_MAX, "loads are too large");
    return static_cast<std::int32_t>(size);
  };
  p.steps = shape(0);
  p.layers = shape(1);
  p.experts = shape(2);
  p.loads32 = made.loads32 ? made.loads32->data() : nullptr;
  p.loads64 = made.loads64 ? made.loads64->data() : nullptr;
  p.ranks = ranks;
  p.slots = slots;
  require(ranks >= 1 && slots >= 1, "ranks and slots must be at least 1");
  const auto all = static_cast<std::size_t>(ranks);
  if (made.speeds) {
    require(made.speeds->shape(0) == all, "speeds must be one for each rank");
    p.speeds = made.speeds->data();
  }
  if (made.latency) {
    const std::size_t points = made.load_points->shape(0);
    require(made.latency->shape(0) == all && made.latency->shape(1) == points,
            "latency must be [rank][load_point]");
    p.load_points = made.load_points->data();
    p.load_point_count = static_cast<std::int32_t>(points);
    p.latency = made.latency->data();
  }
  if (made.previous) {
    require(made.previous->shape(0) == static_cast<std::size_t>(p.layers) &&
                made.previous->shape(1) == all * static_cast<std::size_t>(slots),
            "previous must be [layer][ranks * slots]");
    p.previous = made.previous->data();
  }
  return made;
}

/// Writes `map`; returns why it is not a new plan, or nothing.
std::string plan(Problem& made, Map map, int nodes, int groups, int max_moves,
                 const std::string& strategy, std::uint64_t seed, int threads, double time_limit,
                 int steps_in_row) {
  gembench_problem problem = made.problem;
  require(map.shape(0) == static_cast<std::size_t>(problem.layers) &&
              map.shape(1) ==
                  static_cast<std::size_t>(problem.ranks) * static_cast<std::size_t>(problem.slots),
          "map must be [layer][ranks * slots]");
  problem.nodes = nodes;
  problem.groups = groups;
  problem.max_moves = max_moves;
  problem.strategy = strategy.c_str();
  problem.seed = seed;
  problem.threads = threads;
  problem.time_limit = time_limit;
  problem.steps_in_row = steps_in_row;
  char message[512];
  int status = 0;
  {
    const nb::gil_scoped_release release;
    status = gembench_plan(&problem, map.data(), message, sizeof message);
  }
  if (status == GEMBENCH_REFUSED) throw nb::value_error(message);
  return message;
}

/// Step seconds, imbalance, balancedness, straggler, its share, moves.
std::tuple<double, double, double, int, double, std::int64_t> judge(Problem& made,
                                                                    In<std::int64_t, 2> map,
                                                                    int steps_in_row) {
  gembench_problem problem = made.problem;
  require(map.shape(0) == static_cast<std::size_t>(problem.layers) &&
              map.shape(1) ==
                  static_cast<std::size_t>(problem.ranks) * static_cast<std::size_t>(problem.slots),
          "phy2log must be [layer][ranks * slots]");
  problem.steps_in_row = steps_in_row;
  gembench_score score = gembench_no_score();
  char message[512];
  int status = 0;
  {
    const nb::gil_scoped_release release;
    status = gembench_judge(&problem, map.data(), &score, message, sizeof message);
  }
  if (status == GEMBENCH_REFUSED) throw nb::value_error(message);
  return {score.step_seconds, score.imbalance,       score.balancedness,
          score.straggler,    score.straggler_share, score.moves};
}

}  // namespace
}  // namespace gembench::inline python

NB_MODULE(_planner, module) {
  nb::class_<gembench::Problem>(module, "Problem")
      .def(nb::new_(&gembench::make), nb::arg("loads32").none(), nb::arg("loads64").none(),
           nb::arg("ranks"), nb::arg("slots"), nb::arg("speeds").none(),
           nb::arg("load_points").none(), nb::arg("latency").none(), nb::arg("previous").none())
      .def("plan", &gembench::plan)
      .def("judge", &gembench::judge);
  module.def("version", &gembench_planner_version);
}
