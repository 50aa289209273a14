#include <cmath>
#include <numeric>

#include "placement/synthetic.hpp"
#include "support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

std::uint64_t hash(const Trace& trace) {
  std::uint64_t key = 0;
  for (auto count : trace.tokens) key = fold(key, static_cast<std::uint64_t>(count));
  return key;
}

TEST(Synthetic, EveryShapeIsASoundTrace) {
  const SyntheticSpec specs[] = {{3, 2, 1, 1, 1, 0},     {3, 2, 2, 1, 7, 1},
                                 {9, 2, 8, 2, 64, 2},    {9, 2, 8, 8, 64, 3},
                                 {9, 1, 16, 15, 3, 4},   {5, 3, 7, 3, 1000, 5},
                                 {4, 1, 256, 8, 16, 6},  {4, 1, 256, 8, 16384, 7},
                                 {2, 1, 65536, 1, 9, 8}, {3, 1, 4, 2, 200000000, 9}};
  for (const auto& spec : specs)
    for (const char* preset : {"serving", "even"}) {
      const auto trace = make_trace(preset, spec);
      EXPECT_NO_THROW(validate(trace)) << trace.source;
      EXPECT_EQ(trace.tokens_in_step(0), spec.tokens) << trace.source;
      EXPECT_FALSE(trace.has_ids());
    }
}

TEST(Synthetic, IsTheSameOnEveryMachine) {
  // A change of these numbers changes every published synthetic result: say so where it is made.
  const SyntheticSpec spec{64, 4, 32, 4, 1024, 42};
  EXPECT_EQ(hash(make_trace("serving", spec)), 15707650300612752862u);
  EXPECT_EQ(hash(make_trace("even", spec)), 7885145652162341414u);
  EXPECT_EQ(hash(make_trace("serving", {16, 2, 8, 2, 16, 42})), 2280790173940143449u);
}

TEST(Synthetic, SeedsAndLayersDiffer) {
  const SyntheticSpec spec{8, 2, 16, 2, 256, 1};
  auto other = spec;
  other.seed = 2;
  const auto trace = make_trace("serving", spec);
  EXPECT_NE(trace.tokens, make_trace("serving", other).tokens);
  EXPECT_FALSE(std::ranges::equal(trace.loads(0, 0), trace.loads(0, 1)));
}

TEST(Synthetic, MoreStepsContinueAShorterTrace) {
  const auto few = make_trace("serving", {8, 3, 16, 2, 256, 1});
  const auto more = make_trace("serving", {20, 3, 16, 2, 256, 1});
  EXPECT_EQ(slice(more, 0, 8).tokens, few.tokens);
}

TEST(Synthetic, EvenFavoursNobody) {
  const auto trace = make_trace("even", {64, 3, 6, 2, 11, 0});
  std::vector<int> total(6, 0);
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto loads = trace.loads(step, layer);
      const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
      EXPECT_LE(*most - *least, 1);
      if (layer == 1)
        for (std::size_t e = 0; e < 6; ++e) total[e] += loads[e];
    }
  const auto [least, most] = std::minmax_element(total.begin(), total.end());
  EXPECT_LE(*most - *least, 1) << "also over all steps";
}

/// Duty and mean count when used, of one expert of a layer.
struct Usage {
  double duty = 0;
  double tokens = 0;
};

TEST(Synthetic, ServingHasTheStatisticsOfThePaper) {
  const int steps = 4000;
  const int layers = 8;
  const auto trace = make_trace("serving", {steps, layers, 64, 4, 2048, 3});
  double temporal_duty = 0;
  double consistent_duty = 0;
  double temporal_tokens = 0;
  double consistent_tokens = 0;
  int temporal = 0;
  int consistent = 0;
  for (int layer = 0; layer < layers; ++layer) {
    int temporal_here = 0;
    for (std::size_t e = 0; e < 64; ++e) {
      Usage usage;
      int used = 0;
      for (int step = 0; step < steps; ++step) {
        const auto count = trace.loads(step, layer)[e];
        used += count > 0;
        usage.tokens += count;
      }
      usage.duty = double(used) / steps;
      usage.tokens /= used;
      const bool is_temporal = usage.duty < 0.5;
      (is_temporal ? temporal_duty : consistent_duty) += usage.duty;
      (is_temporal ? temporal_tokens : consistent_tokens) += usage.tokens;
      ++(is_temporal ? temporal : consistent);
      temporal_here += is_temporal;
    }
    EXPECT_GE(temporal_here, 64 * 15 / 100);
    EXPECT_LE(temporal_here, 64 * 25 / 100 + 1);
  }
  EXPECT_NEAR(temporal_duty / temporal, 0.17, 0.015);
  EXPECT_NEAR(consistent_duty / consistent, 0.85, 0.01);
  EXPECT_NEAR((temporal_tokens / temporal) / (consistent_tokens / consistent), 3.0, 0.6);
}

TEST(Synthetic, TemporalExpertsOfAGroupFireTogether) {
  const int steps = 2000;
  const auto trace = make_trace("serving", {steps, 1, 64, 4, 2048, 5});
  std::vector<std::vector<bool>> on;
  for (std::size_t e = 0; e < 64; ++e) {
    std::vector<bool> used;
    for (int step = 0; step < steps; ++step) used.push_back(trace.loads(step, 0)[e] > 0);
    if (std::count(used.begin(), used.end(), true) < steps / 2) on.push_back(used);
  }
  ASSERT_FALSE(on.empty());
  for (const auto& mine : on) {
    const auto mates = std::count(on.begin(), on.end(), mine);
    EXPECT_GE(mates, 2);
    EXPECT_LE(mates, 4);
    int switches = 0;
    for (std::size_t t = 1; t < mine.size(); ++t) switches += mine[t] && !mine[t - 1];
    EXPECT_NEAR(double(std::count(mine.begin(), mine.end(), true)) / switches, 6.0, 2.0);
  }
}

TEST(Synthetic, NoiseIsThatOfSampling) {
  // When every token takes every expert there is none. With two experts (too few for temporal
  // ones) and top-1 the shares are constant while both are active, so variance shows.
  const auto all = make_trace("serving", {10, 1, 8, 8, 100, 1});
  for (auto count : all.tokens) EXPECT_EQ(count, 100);
  const auto two = make_trace("serving", {4000, 1, 2, 1, 1000, 1});
  std::vector<double> both;  // only steps in which both experts are active
  for (int step = 0; step < two.steps; ++step)
    if (two.loads(step, 0)[0] > 0 && two.loads(step, 0)[1] > 0)
      both.push_back(two.loads(step, 0)[0]);
  const double mean = std::accumulate(both.begin(), both.end(), 0.0) / double(both.size());
  double variance = 0;
  for (auto x : both) variance += (x - mean) * (x - mean) / double(both.size());
  EXPECT_NEAR(variance / (mean * (1 - mean / 1000)), 0.5, 0.15)
      << "two draws of the same variance, both pulled half way to a common sum";
}

TEST(Synthetic, SourceNamesEverything) {
  const auto source = make_trace("serving", {3, 2, 16, 4, 77, 99}).source;
  for (const char* part : {"serving", "3 steps", "2 layers", "16 experts", "top-k 4", "77 tokens",
                           "seed 99", "sigma 0.5", "0.17", "x3", "0.85"})
    EXPECT_NE(source.find(part), std::string::npos) << part << " in " << source;
}

TEST(Synthetic, RefusesTheImpossible) {
  const auto refuse = [](const char* part, std::string_view preset, SyntheticSpec spec) {
    expect_refused(part, [&] { (void)make_trace(preset, spec); });
  };
  refuse("choose one of serving, even", "bursty", {1, 1, 8, 2, 1, 0});
  refuse("smaller top-k", "even", {1, 1, 8, 9, 1, 0});
  refuse("at least 1", "even", {0, 1, 8, 2, 1, 0});
  refuse("at least 1", "serving", {1, 1, 8, 2, -1, 0});
  refuse("70000 experts", "even", {1, 1, 70000, 2, 1, 0});
  refuse("impossible size", "even", {2000000000, 2000000000, 8, 2, 1, 0});
}

}  // namespace
}  // namespace gembench
