#include <cmath>
#include <numeric>
#include <span>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"
#include "placement/loads/synthetic.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

std::uint64_t hash(const Trace& trace) {
  std::uint64_t key = 0;
  for (auto count : trace.tokens) key = fold(key, static_cast<std::uint64_t>(count));
  for (auto count : trace.source_tokens) key = fold(key, static_cast<std::uint64_t>(count));
  return key;
}

constexpr const char* kWorkloads[] = {
    "w0-balanced",      "w1-hot-experts",      "w2-hot-rank",         "w3-spread-hot",
    "w4-source-ragged", "w5-zero-expert-rank", "w6-rotating-hotspot", "w7-burst"};

TEST(Synthetic, EveryShapeIsASoundTrace) {
  const SyntheticSpec specs[] = {{3, 2, 1, 1, 1, 0},     {3, 2, 2, 1, 7, 1},
                                 {9, 2, 8, 2, 64, 2},    {9, 2, 8, 8, 64, 3},
                                 {9, 1, 16, 15, 3, 4},   {5, 3, 7, 3, 1000, 5},
                                 {4, 1, 256, 8, 16, 6},  {4, 1, 256, 8, 16384, 7},
                                 {2, 1, 65536, 1, 9, 8}, {3, 1, 4, 2, 200000000, 9}};
  for (auto spec : specs)
    for (const auto& preset : synthetic_presets()) {
      spec.ranks = std::min(spec.experts, 4);
      const int idle = (spec.experts + spec.ranks - 1) / spec.ranks;  // at most
      if (preset.name == "w5-zero-expert-rank" && spec.experts - idle < spec.topk) continue;
      const auto trace = make_trace(preset.name, spec);
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
  EXPECT_EQ(hash(make_trace("power-law", spec)), 14666103208893377043u);
  EXPECT_EQ(hash(make_trace("power-law", {16, 2, 256, 8, 16, 42})), 8319969402816215559u);
  SyntheticSpec odd{40, 2, 13, 3, 101, 42};
  odd.ranks = 4;
  const std::uint64_t workloads[] = {
      16250596733552569523u, 15024077432529090251u, 4961377539289564057u, 9125631781631417704u,
      11378326884836955396u, 14344787255853569716u, 3142136968400965684u, 10725239509547649019u};
  for (std::size_t w = 0; w < 8; ++w)
    EXPECT_EQ(hash(make_trace(kWorkloads[w], odd)), workloads[w]) << kWorkloads[w];
  EXPECT_EQ(hash(make_trace("bursty", spec)), 7086223916175567724u);
  EXPECT_EQ(hash(make_trace("bursty", {16, 2, 128, 8, 8192, 42})), 14986095368553765087u);
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
  for (const auto& preset : synthetic_presets()) {
    SyntheticSpec spec{8, 3, 16, 2, 256, 1};
    spec.ranks = 3;
    const auto few = make_trace(preset.name, spec);
    spec.steps = 70;
    const auto more = make_trace(preset.name, spec);
    EXPECT_EQ(slice(more, 0, 8).tokens, few.tokens) << preset.name;
    EXPECT_EQ(slice(more, 0, 8).task, few.task) << preset.name;
    EXPECT_EQ(slice(more, 0, 8).source_tokens, few.source_tokens) << preset.name;
  }
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

TEST(Synthetic, PowerLawIsAiconfiguratorsFormula) {
  // Every token chooses two of many experts: no expert reaches the cap, and steps average out, so
  // that sums are proportional to the drawn loads. Their quantiles are those of the inverted law.
  for (const double alpha : {0.4, 1.0, 1.2, 2.2}) {
    const SyntheticParameter set[] = {{"alpha", alpha}};
    const auto trace = make_trace("power-law", {20, 1, 4096, 2, 65536, 8}, set);
    std::vector<double> sums(4096, 0);
    for (std::size_t i = 0; i < trace.tokens.size(); ++i) sums[i % 4096] += trace.tokens[i];
    const auto law = [&](double u) {
      const double high = 0.8 * 65536;
      const double slope = 1 - alpha;
      return alpha == 1 ? std::pow(high, u)
                        : std::pow(1 + u * (std::pow(high, slope) - 1), 1 / slope);
    };
    for (const double u : {0.5, 0.75, 0.97}) {
      const double measured = quantile(sums, u) / quantile(sums, 0.9);
      EXPECT_NEAR(measured / (law(u) / law(0.9)), 1, 0.25) << alpha << " " << u;
    }
  }
  const SyntheticParameter even[] = {{"alpha", 0}};
  EXPECT_EQ(make_trace("power-law", {9, 2, 7, 2, 33, 1}, even).tokens,
            make_trace("even", {9, 2, 7, 2, 33, 1}).tokens);
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

/// Hottest expert over the mean of a layer's experts, mean over layers: of loads summed over steps,
/// and mean over steps of the same within one.
struct Skew {
  double of_sums = 0;
  double of_steps = 0;
};

Skew skew(const Trace& trace) {
  Skew result;
  for (int layer = 0; layer < trace.layers; ++layer) {
    std::vector<std::int64_t> sums(std::size_t(trace.experts), 0);
    for (int step = 0; step < trace.steps; ++step) {
      const auto loads = trace.loads(step, layer);
      for (std::size_t e = 0; e < sums.size(); ++e) sums[e] += loads[e];
      result.of_steps += imbalance({loads.begin(), loads.end()}) / trace.layers / trace.steps;
    }
    result.of_sums += imbalance(sums) / trace.layers;
  }
  return result;
}

TEST(Synthetic, BurstyHasTheAcceptedSkew) {
  const auto qwen3 = skew(make_trace("bursty", {1024, 48, 128, 8, 8192, 7}));
  EXPECT_NEAR(qwen3.of_sums, 3.9, 0.3);
  EXPECT_NEAR(qwen3.of_steps, 6.6, 0.6);
  const auto deepseek = skew(make_trace("bursty", {512, 58, 256, 8, 16384, 7}));
  EXPECT_NEAR(deepseek.of_sums, 5.6, 0.4);
  EXPECT_NEAR(deepseek.of_steps, 9.1, 0.8);
}

TEST(Synthetic, ServingHasTheSkewOfItsPopularity) {
  // Flat for 128 experts ("near uniform"), steeper for 64; within a step x3 of temporal experts.
  const auto flat = skew(make_trace("serving", {512, 12, 128, 8, 2048, 7}));
  EXPECT_NEAR(flat.of_sums, 1.9, 0.3);
  EXPECT_NEAR(flat.of_steps, 4.3, 0.6);
  const auto steep = skew(make_trace("serving", {512, 12, 64, 8, 2048, 7}));
  EXPECT_NEAR(steep.of_sums, 3.5, 0.7);
}

TEST(Synthetic, BurstyTasksAlternateAndChangeTheLoads) {
  const auto trace = make_trace("bursty", {8000, 1, 64, 4, 2048, 3});
  ASSERT_EQ(trace.task.size(), 8000u);
  std::vector<int> steps_of(4, 0);
  int changes = 0;
  for (std::size_t t = 0; t < trace.task.size(); ++t) {
    ASSERT_GE(trace.task[t], 0);
    ASSERT_LT(trace.task[t], 4);
    ++steps_of[std::size_t(trace.task[t])];
    changes += t > 0 && trace.task[t] != trace.task[t - 1];
  }
  EXPECT_NEAR(8000.0 / (changes + 1), 80, 25);
  for (auto steps : steps_of) EXPECT_NEAR(steps, 2000, 1100);
  const SyntheticParameter one[] = {{"tasks", 1}};
  const auto same = make_trace("bursty", {50, 1, 64, 4, 2048, 3}, one);
  EXPECT_EQ(same.task, std::vector<std::int32_t>(50, 0));
}

TEST(Synthetic, BurstyGroupsBurstTogether) {
  // Without tasks, drift and noise an expert of a group has two loads, 3 times apart.
  const SyntheticParameter calm[] = {{"tasks", 1},         {"drift_sigma", 0}, {"zipf", 0},
                                     {"task_sigma", 0},    {"task_rate", 0},   {"correlated", 1},
                                     {"group_share", 0.03}};
  const int steps = 6000;
  const auto trace = make_trace("bursty", {steps, 1, 256, 1, 1 << 20, 5}, calm);
  std::vector<std::vector<bool>> firing;
  for (std::size_t e = 0; e < 256; ++e) {
    std::vector<bool> high;
    double sums[2] = {0, 0};
    for (int step = 0; step < steps; ++step) {
      const auto load = trace.loads(step, 0)[e];
      high.push_back(load > (2 << 20) / 256 * 0.9);
      sums[high.back()] += load;
    }
    const auto on = double(std::count(high.begin(), high.end(), true));
    if (on == 0) continue;
    firing.push_back(high);
    EXPECT_NEAR(on / steps, 0.17, 0.04);
    EXPECT_NEAR((sums[1] / on) / (sums[0] / (steps - on)), 3.0, 0.2);
  }
  EXPECT_EQ(firing.size(), 8u);
  for (const auto& mine : firing)
    EXPECT_GE(std::count(firing.begin(), firing.end(), mine), 2) << "nobody bursts alone";
}

TEST(Synthetic, CorrelatedTokensAreNoisier) {
  // Top-1 over two equal experts, nothing else going on: the variance is that of fewer tokens.
  const auto variance = [](double run) {
    const SyntheticParameter set[] = {{"tasks", 1},       {"drift_sigma", 0}, {"zipf", 0},
                                      {"hot_factor", 1},  {"task_sigma", 0},  {"group_share", 0},
                                      {"correlated", run}};
    const auto trace = make_trace("bursty", {4000, 1, 2, 1, 4096, 1}, set);
    double sum = 0;
    for (int step = 0; step < trace.steps; ++step)
      sum += std::pow(trace.loads(step, 0)[0] - 2048.0, 2) / trace.steps;
    return sum;
  };
  // Two draws, both pulled half way to a common sum: half of n p (1 - p).
  EXPECT_NEAR(variance(1) / (4096 * 0.25), 0.5, 0.06);
  EXPECT_NEAR(variance(16) / (4096 * 0.25), 16 * 0.5, 0.9);
}

TEST(Synthetic, SourceNamesEveryParameter) {
  for (const auto& preset : synthetic_presets()) {
    SyntheticSpec spec{3, 2, 16, 4, 77, 99};
    spec.ranks = 4;
    const auto source = make_trace(preset.name, spec).source;
    for (const char* part :
         {"3 steps", "2 layers", "16 experts", "top-k 4", "77 tokens", "seed 99"})
      EXPECT_NE(source.find(part), std::string::npos) << part << " in " << source;
    EXPECT_NE(source.find(preset.name), std::string::npos) << source;
    for (const auto& [name, value] : synthetic_parameters(preset.name, spec))
      EXPECT_NE(source.find(name + " "), std::string::npos) << name << " in " << source;
  }
  const auto source = make_trace("serving", {3, 2, 16, 4, 77, 99}).source;
  for (const char* part : {"; sigma 0.5", ", duty 0.17", ", burst 3", ", consistent_duty 0.85"})
    EXPECT_NE(source.find(part), std::string::npos) << part << " in " << source;
  const SyntheticParameter set[] = {{"zipf", 0.25}};
  EXPECT_NE(make_trace("bursty", {3, 2, 16, 4, 77, 99}, set).source.find("zipf 0.25,"),
            std::string::npos);
}

TEST(Synthetic, ParametersAtTheirLimitsGiveSoundTraces) {
  const SyntheticSpec spec{20, 2, 24, 4, 3000, 1};
  const SyntheticParameter extremes[] = {
      {"zipf", 0.8},        {"hot_share", 1},    {"hot_factor", 100}, {"group_share", 1},
      {"group_low", 64},    {"group_high", 64},  {"duty", 0.9},       {"burst", 100},
      {"mean_burst", 1},    {"tasks", 1024},     {"task_dwell", 1},   {"task_sigma", 1.5},
      {"drift_sigma", 1.5}, {"drift_rho", 1},    {"correlated", 1e6}, {"duty", 0},
      {"burst", 0.01},      {"hot_factor", 0.01}};
  for (const auto& one : extremes) {
    // A group of at least 64 is larger than the largest by default.
    const SyntheticParameter set[] = {one, {"group_high", 64}};
    EXPECT_NO_THROW(validate(make_trace("bursty", spec, set))) << one.name;
  }
  const SyntheticParameter serving[] = {{"sigma", 1.5},   {"temporal_high", 1},
                                        {"duty", 0},      {"consistent_duty", 0},
                                        {"group_low", 2}, {"group_high", 2}};
  for (int count = 1; count <= 6; ++count)
    EXPECT_NO_THROW(
        validate(make_trace("serving", spec, std::span(serving).first(std::size_t(count)))))
        << serving[count - 1].name;
}

TEST(Synthetic, RefusesTheImpossible) {
  const auto refuse = [](const char* part, std::string_view preset, SyntheticSpec spec) {
    expect_refused(part, [&] { (void)make_trace(preset, spec); });
  };
  SyntheticSpec two{1, 1, 8, 5, 16, 0};
  refuse("there are 0 ranks for 8 experts", "w2-hot-rank", two);
  two.ranks = 9;
  refuse("give 1 to 8 ranks", "w4-source-ragged", two);
  two.ranks = 2;
  refuse("4 of 8 experts are left", "w5-zero-expert-rank", two);
  refuse("choose one of serving, bursty, power-law, even", "flat", {1, 1, 8, 2, 1, 0});
  refuse("smaller top-k", "even", {1, 1, 8, 9, 1, 0});
  refuse("at least 1", "even", {0, 1, 8, 2, 1, 0});
  refuse("at least 1", "serving", {1, 1, 8, 2, -1, 0});
  refuse("70000 experts", "even", {1, 1, 70000, 2, 1, 0});
  refuse("impossible size", "even", {2000000000, 2000000000, 8, 2, 1, 0});
}

TEST(Synthetic, RefusesForeignParameters) {
  const auto refuse = [](const char* part, std::string_view preset, SyntheticParameter one) {
    expect_refused(part, [&] {
      (void)make_trace(preset, {1, 1, 8, 2, 16, 0}, std::span(&one, 1));
    });
  };
  refuse("it has zipf, hot_share", "bursty", {"sigma", 1});
  refuse("it has sigma, temporal_low", "serving", {"zipf", 1});
  refuse("it has none", "even", {"zipf", 1});
  refuse("a number from 0 to 3", "power-law", {"alpha", 3.5});
  refuse("it has heat, hot_share", "w1-hot-experts", {"dwell", 1});
  refuse("it has none", "w0-balanced", {"heat", 1});
  refuse("burst of preset 'w7-burst' cannot be above period", "w7-burst", {"burst", 33});
  refuse("a number from 0 to 0.9", "bursty", {"duty", 0.95});
  refuse("a number from 0 to 0.8", "bursty", {"zipf", std::nan("")});
  refuse("whole and from 1 to 1024", "bursty", {"tasks", 2.5});
  refuse("cannot be above", "bursty", {"group_low", 10});
  refuse("cannot be above", "serving", {"temporal_low", 0.5});
}

}  // namespace
}  // namespace gembench
