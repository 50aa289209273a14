// Prints what planners cost and how close they come: planner_bench [times] [swaps] [gaps] [replan]
// [split], all by default. Times are minima of three runs; compare them on a quiet machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/cost/bound.hpp"
#include "placement/cost/objective.hpp"
#include "placement/cost/score.hpp"
#include "placement/loads/synthetic.hpp"
#include "placement/search/layer_problem.hpp"
#include "placement/search/starts.hpp"
#include "placement/search/swap_descent.hpp"
#include "placement/strategies/exact.hpp"
#include "placement/strategies/gem_plus.hpp"
#include "placement/strategies/replan.hpp"
#include "tests/placement/variability.hpp"

namespace gembench {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Least wall seconds of a few runs.
template <class Work>
double seconds_of(int runs, const Work& work) {
  double least = HUGE_VAL;
  for (int i = 0; i < runs; ++i) {
    const auto begin = now();
    work();
    least = std::min(least, now() - begin);
  }
  return least;
}

/// The preset `bursty` where there is one.
std::pair<Trace, std::string> prefill_trace(const SyntheticSpec& spec) {
  try {
    return {make_trace("bursty", spec), "bursty"};
  } catch (const Error&) {
    return {make_trace("serving", spec), "serving"};
  }
}

struct Shape {
  int layers, experts, ranks, topk, tokens;
  double read_us, token_us;  // of one expert and per token: roofline estimates
};

CostModel cost_of(const Shape& shape, std::string_view kind) {
  return CostModel(testing::prefill_profile(
      testing::slowdowns(kind, shape.ranks, 1), shape.experts / shape.ranks, shape.read_us,
      shape.token_us, std::int64_t{shape.tokens} * shape.topk));
}

void print_times() {
  const Shape shapes[] = {{58, 256, 64, 8, 16384, 13.1, 0.088},
                          {58, 256, 32, 8, 16384, 13.1, 0.088},
                          {94, 128, 16, 8, 8192, 11.2, 0.063},
                          {32, 8, 8, 2, 4096, 105, 0.59}};
  fmt::print(
      "# planning, 1024 steps, one slow 15 %, 2 threads: seconds, and predicted time over the "
      "bound\n"
      "# layers x experts x ranks  trace       eplb      gem     gem+     eplb    gem   gem+\n");
  for (const auto& shape : shapes) {
    const auto [trace, preset] =
        prefill_trace({1024, shape.layers, shape.experts, shape.topk, shape.tokens, 1});
    const auto cost = cost_of(shape, "one slow 15 %");
    const PlanInput input{trace, cost, 1};
    const auto bound = lower_bound(trace, cost);
    Placement eplb, gem, plus;
    const auto eplb_seconds = seconds_of(3, [&] { eplb = plan_eplb(input); });
    const auto gem_seconds = seconds_of(3, [&] { gem = plan_gem(input, {.threads = 2}); });
    const auto plus_seconds = seconds_of(1, [&] { plus = plan_gem_plus(input, {.threads = 2}); });
    fmt::print(
        "  {:>6} x {:>7} x {:>5}  {:<8} {:>7.4f} {:>8.3f} {:>8.2f} {:>8.4f} {:>6.4f} {:>6.4f}\n",
        shape.layers, shape.experts, shape.ranks, preset, eplb_seconds, gem_seconds, plus_seconds,
        objective(trace, eplb, cost) / bound, objective(trace, gem, cost) / bound,
        objective(trace, plus, cost) / bound);
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
#define WITH_AVX2 __attribute__((target_clones("default", "avx2")))
#else
#define WITH_AVX2
#endif

/// What a swap costs without the search's book-keeping: the slowest of all ranks, every step, over
/// [rank][step] float seconds. Vectorised by the compiler.
WITH_AVX2 float sum_of_slowest(const float* seconds, std::size_t ranks, std::size_t steps,
                               float* slowest) {
  for (std::size_t t = 0; t < steps; ++t) slowest[t] = seconds[t];
  for (std::size_t r = 1; r < ranks; ++r)
    for (std::size_t t = 0; t < steps; ++t)
      slowest[t] = slowest[t] > seconds[r * steps + t] ? slowest[t] : seconds[r * steps + t];
  float sum = 0;
  for (std::size_t t = 0; t < steps; ++t) sum += slowest[t];
  return sum;
}

void print_swaps() {
  const Shape shape{1, 256, 64, 8, 16384, 13.1, 0.088};
  const auto [trace, preset] = prefill_trace({1024, 1, shape.experts, 8, shape.tokens, 1});
  const auto cost = cost_of(shape, "one slow 15 %");
  const SearchCosts costs(cost, trace, shape.experts / shape.ranks);
  const LayerProblem problem(trace, 0, costs);
  const std::size_t steps = 1024;
  std::vector<float> seconds(problem.ranks * steps);
  for (std::size_t i = 0; i < seconds.size(); ++i)
    seconds[i] = static_cast<float>(1e-3 * Random(i).uniform());
  std::vector<float> slowest(steps);
  float kept = 0;
  const int naive_runs = 2000;
  const auto naive =
      seconds_of(5,
                 [&] {
                   for (int i = 0; i < naive_runs; ++i) {
                     seconds[static_cast<std::size_t>(i)] += 1e-9F;
                     kept += sum_of_slowest(seconds.data(), problem.ranks, steps, slowest.data());
                   }
                 }) /
      naive_runs;
  fmt::print("# swap evaluations a second, 64 ranks, 1024 steps ({}); {}\n", preset,
             kept > 0 ? "one core" : "");
  fmt::print("  maximum over all ranks, vectorised        {:>10.0f}\n", 1 / naive);
  for (auto isa : {Isa::plain, Isa::avx2, Isa::avx512}) {
    const auto* name = isa == Isa::plain ? "plain" : isa == Isa::avx2 ? "avx2" : "avx512";
    if (!has_isa(isa)) {
      fmt::print("  {:<7} not on this CPU\n", name);
      continue;
    }
    SwapSearch<std::int16_t> search(problem, greedy(problem, isa), isa);
    search.descend();
    std::size_t looked = 0;
    const auto again =
        seconds_of(20, [&] { looked = search.look_again(); }) / static_cast<double>(looked);
    std::size_t valued = 0;
    const auto exactly = seconds_of(3,
                                    [&] {
                                      valued = 0;
                                      for (std::size_t a = 0; a < problem.ranks; ++a)
                                        for (std::size_t b = a + 1; b < problem.ranks; ++b)
                                          valued += search.gains(a, b).size();
                                    }) /
                         static_cast<double>(valued);
    fmt::print(
        "  {:<7} as the search does, pruned exactly  {:>10.0f}  {:>5.1f} x\n"
        "  {:<7} every one to its exact value        {:>10.0f}  {:>5.1f} x\n",
        name, 1 / again, naive / again, name, 1 / exactly, naive / exactly);
  }
}

void print_gaps() {
  fmt::print(
      "# gap to the optimum in %, 64 steps, 6 layers a row (serving); seconds of `exact` per "
      "layer\n"
      "# experts ranks variability      bound  gem mean worst   gem+ mean worst   exact s\n");
  const int layers = 6;
  double gem_sum = 0, plus_sum = 0, gem_worst = 0, plus_worst = 0;
  int count = 0;
  for (auto [experts, ranks] : {std::pair{8, 4}, {8, 8}, {12, 4}, {16, 4}, {16, 8}})
    for (auto kind : testing::kVariability) {
      const Shape shape{layers, experts, ranks, 2, 4096, 105, 0.59};
      // Not bursty: there the optimum of 16 experts on 8 ranks can take a minute a layer.
      const auto trace = make_trace("serving", {64, layers, experts, 2, shape.tokens, 11});
      const auto cost = cost_of(shape, kind);
      const PlanInput input{trace, cost, 1};
      Placement best;
      const auto seconds = seconds_of(1, [&] { best = plan_exact(input); });
      const auto optimum = predicted_layer_seconds(trace, best, cost);
      const auto gaps = [&](const Placement& placement) {
        const auto found = predicted_layer_seconds(trace, placement, cost);
        std::vector<double> gap;
        for (std::size_t layer = 0; layer < std::size_t(layers); ++layer) {
          double sum = 0, least = 0;
          for (auto i = layer; i < found.size(); i += std::size_t(layers)) {
            sum += found[i];
            least += optimum[i];
          }
          gap.push_back(100 * (sum / least - 1));
        }
        return gap;
      };
      const auto mean = [](const std::vector<double>& values) {
        double sum = 0;
        for (auto value : values) sum += value;
        return sum / static_cast<double>(values.size());
      };
      const auto gem = gaps(plan_gem(input));
      const auto plus = gaps(plan_gem_plus(input));
      const auto gem_most = *std::max_element(gem.begin(), gem.end());
      const auto plus_most = *std::max_element(plus.begin(), plus.end());
      fmt::print("  {:>7} {:>5} {:<14} {:>8.2f} {:>9.3f} {:>5.3f} {:>11.3f} {:>5.3f} {:>9.3f}\n",
                 experts, ranks, kind,
                 100 * (lower_bound(trace, cost) / objective(trace, best, cost) - 1), mean(gem),
                 gem_most, mean(plus), plus_most, seconds / layers);
      if (experts < 12) continue;
      gem_sum += mean(gem);
      plus_sum += mean(plus);
      gem_worst = std::max(gem_worst, gem_most);
      plus_worst = std::max(plus_worst, plus_most);
      ++count;
    }
  fmt::print("# 12 to 16 experts: gem mean {:.3f} worst {:.3f}; gem+ mean {:.4f} worst {:.3f}\n",
             gem_sum / count, gem_worst, plus_sum / count, plus_worst);
}

/// The gain of rebalancing a placement when other ranks become slow, compared with planning from
/// scratch: time on the later half of the steps over that of a new plan, experts moved, and how
/// long it takes.
void print_replan() {
  const struct {
    Shape shape;
    CostKind kind;
    const char* name;
  } cases[] = {{{2, 128, 16, 8, 8192, 11.2, 0.063}, CostKind::sum, "qwen3 prefill"},
               {{2, 256, 32, 8, 16384, 13.1, 0.088}, CostKind::sum, "dsv3 prefill"},
               {{2, 256, 32, 8, 512, 13.1, 0.088}, CostKind::per_expert, "dsv3 decode"}};
  fmt::print(
      "# replan after other ranks became 15 % slow: time on later steps over that of planning "
      "afresh (bar 1.01\n# at 16 swaps), experts moved a layer; most ms a layer, one thread, 1024 "
      "steps "
      "(bar 50 at 8 swaps)\n"
      "# case              as it was   4 swaps   8 swaps  16 swaps  moved   afresh moved  8 swaps "
      "ms\n");
  const int traces = 6;  // layers of one trace change tasks together
  for (const auto& [shape, kind, name] : cases) {
    double was = 0, afresh_moved = 0, moved = 0, seconds = 0;
    double after[3] = {};
    for (std::uint64_t seed = 1; seed <= traces; ++seed) {
      const auto [whole, preset] =
          prefill_trace({2048, shape.layers, shape.experts, shape.topk, shape.tokens, seed});
      const auto parts = hold_out(whole, 0.5);
      const auto cost_with = [&](std::uint64_t speeds) {
        return CostModel(
            testing::prefill_profile(testing::slowdowns("one slow 15 %", shape.ranks, speeds),
                                     shape.experts / shape.ranks, shape.read_us, shape.token_us,
                                     std::int64_t{shape.tokens} * shape.topk),
            kind, shape.experts / shape.ranks);
      };
      const auto then = cost_with(2 * seed);
      const auto now = cost_with(2 * seed + 1);
      const auto from = plan_gem_plus({parts.plan, then, 1});
      const auto afresh = plan_gem_plus({parts.plan, now, 1});
      const auto judged = [&](const Placement& placement) {
        return objective(parts.judged, placement, now) / objective(parts.judged, afresh, now) /
               traces;
      };
      was += judged(from);
      for (int i = 0; i < 3; ++i) {
        const auto rebalanced = replan(from, parts.plan, now, {.max_moves = 8 << i}).placement;
        after[i] += judged(rebalanced);
        if (i == 2) moved += static_cast<double>(count_moves(from, rebalanced)) / traces;
      }
      afresh_moved += static_cast<double>(count_moves(from, afresh)) / traces;
      seconds = std::max(seconds, seconds_of(3, [&] {
                           (void)replan(from, parts.plan, now, {.max_moves = 16, .threads = 1});
                         }));
    }
    fmt::print("  {:<16} {:>10.4f} {:>9.4f} {:>9.4f} {:>9.4f} {:>6.1f} {:>14.1f} {:>11.1f}\n", name,
               was, after[0], after[1], after[2], moved / shape.layers, afresh_moved / shape.layers,
               1e3 * seconds / shape.layers);
  }
}

/// What splitting one step's tokens takes: it runs inside a layer's dispatch.
void print_split() {
  const Shape shape{1, 256, 64, 8, 16384, 13.1, 0.088};
  const auto [trace, preset] = prefill_trace({64, 1, shape.experts, 8, shape.tokens, 1});
  fmt::print(
      "# splitting the tokens of a step, 256 experts, 64 ranks, 64 replicas: us (bar 100)\n");
  for (auto kind : {CostKind::sum, CostKind::per_expert}) {
    const CostModel cost(
        testing::prefill_profile(testing::slowdowns("one slow 15 %", shape.ranks, 1), 4,
                                 shape.read_us, shape.token_us, std::int64_t{shape.tokens} * 8),
        kind, 4);
    const auto placement = plan_eplb({trace, cost, 1, 5});
    std::vector<std::int64_t> row(placement.slot_expert.size());
    for (auto [rule, name] :
         {std::pair{SplitRule::even, "even"}, std::pair{SplitRule::by_speed, "by-speed"},
          std::pair{SplitRule::water_fill, "water-fill"}, std::pair{SplitRule::least, "lp"}}) {
      const TokenSplit split(placement, rule, &cost);
      const auto seconds = seconds_of(20, [&] {
        for (int step = 0; step < trace.steps; ++step)
          split.slot_loads(trace.loads(step, 0), 0, row);
      });
      fmt::print("  {:<8} {:<11} {:>6.1f}\n", kind == CostKind::sum ? "tokens" : "experts", name,
                 1e6 * seconds / trace.steps);
    }
  }
}

}  // namespace
}  // namespace gembench

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const auto asked = [&](std::string_view part) {
    return argc < 2 || std::find(argv + 1, argv + argc, part) != argv + argc;
  };
  if (asked("swaps")) gembench::print_swaps();
  if (asked("gaps")) gembench::print_gaps();
  if (asked("replan")) gembench::print_replan();
  if (asked("split")) gembench::print_split();
  if (asked("times")) gembench::print_times();
}
