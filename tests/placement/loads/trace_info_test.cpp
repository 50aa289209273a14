#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "placement/loads/trace_info.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;
using Loads = std::vector<std::vector<double>>;  // [step][expert] of one layer

Loads loads_of(const Trace& trace, int layer) {
  Loads loads;
  for (int step = 0; step < trace.steps; ++step) {
    const auto row = trace.loads(step, layer);
    loads.emplace_back(row.begin(), row.end());
  }
  return loads;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (auto value : values) sum += value;
  return sum;
}

/// Column sums over the steps in `steps`.
std::vector<double> totals(const Loads& loads, const std::set<int>& steps) {
  std::vector<double> sums(loads[0].size(), 0);
  for (int step : steps)
    for (std::size_t e = 0; e < sums.size(); ++e) sums[e] += loads[std::size_t(step)][e];
  return sums;
}

double skew_of(const std::vector<double>& row) {
  const double sum = sum_of(row);
  if (sum == 0) return 1;
  return *std::max_element(row.begin(), row.end()) / (sum / double(row.size()));
}

std::set<int> fires(const Loads& loads, std::size_t e, double above) {
  double mean = 0;
  for (const auto& row : loads) mean += row[e];
  mean /= double(loads.size());
  std::set<int> steps;
  for (std::size_t t = 0; t < loads.size(); ++t)
    if (loads[t][e] > above * mean) steps.insert(int(t));
  return steps;
}

/// By repeated merging, straight from the words in the header.
std::vector<std::vector<int>> plain_groups(const Loads& loads, const TraceInfoOptions& options) {
  std::vector<std::set<int>> firing;
  for (std::size_t e = 0; e < loads[0].size(); ++e)
    firing.push_back(fires(loads, e, options.fire_above));
  std::vector<std::set<int>> groups;
  for (std::size_t e = 0; e < firing.size(); ++e)
    if (int(firing[e].size()) >= options.fire_least &&
        double(firing[e].size()) <= options.fire_most * double(loads.size()))
      groups.push_back({int(e)});
  const auto linked = [&](const std::set<int>& a, const std::set<int>& b) {
    for (int x : a)
      for (int y : b) {
        std::set<int> either = firing[std::size_t(x)];
        int both = 0;
        for (int step : firing[std::size_t(y)]) both += !either.insert(step).second;
        if (both > 0 && both >= options.fire_together * double(either.size())) return true;
      }
    return false;
  };
  for (bool merged = true; merged;) {
    merged = false;
    for (std::size_t a = 0; a < groups.size() && !merged; ++a)
      for (std::size_t b = a + 1; b < groups.size() && !merged; ++b)
        if (linked(groups[a], groups[b])) {
          groups[a].insert(groups[b].begin(), groups[b].end());
          groups.erase(groups.begin() + std::ptrdiff_t(b));
          merged = true;
        }
  }
  std::vector<std::vector<int>> result;
  for (const auto& group : groups)
    if (group.size() > 1) result.emplace_back(group.begin(), group.end());
  std::sort(result.begin(), result.end());
  return result;
}

void expect_layer(const Trace& trace, int layer, const LayerInfo& info,
                  const TraceInfoOptions& options) {
  const auto loads = loads_of(trace, layer);
  const auto experts = loads[0].size();
  std::set<int> all;
  double step_skew = 0;
  double largest = 1;
  for (int step = 0; step < trace.steps; ++step) {
    all.insert(step);
    step_skew += skew_of(loads[std::size_t(step)]) / trace.steps;
    largest = std::max(largest, skew_of(loads[std::size_t(step)]));
  }
  EXPECT_NEAR(info.skew, skew_of(totals(loads, all)), 1e-12);
  EXPECT_NEAR(info.step_skew, step_skew, 1e-12);
  EXPECT_NEAR(info.largest_step_skew, largest, 1e-12);
  ASSERT_EQ(info.kind.size(), experts);
  for (std::size_t e = 0; e < experts; ++e) {
    int used = 0;
    double over = 0;
    for (const auto& row : loads) {
      const double mean = sum_of(row) / double(experts);
      if (row[e] > options.used_above * mean) {
        ++used;
        over += row[e] / mean;
      }
    }
    const double duty = double(used) / trace.steps;
    const double burst = used == 0 ? 0 : over / used;
    EXPECT_NEAR(info.duty[e], duty, 1e-12);
    EXPECT_NEAR(info.burst[e], burst, 1e-12);
    const bool consistent = duty >= options.consistent_duty;
    const bool temporal = !consistent && used > 0 &&
                          duty <= options.temporal_duty * options.about &&
                          burst >= options.temporal_burst / options.about;
    EXPECT_EQ(info.kind[e], consistent ? ExpertKind::consistent
                            : temporal ? ExpertKind::temporal
                                       : ExpertKind::other);
  }
  EXPECT_EQ(info.groups, plain_groups(loads, options));
}

void expect_drift(const Trace& trace, const LoadDrift& drift, const std::set<int>& from,
                  const std::set<int>& to) {
  double variation = 0;
  double correlation = 0;
  double largest = 0;
  for (int layer = 0; layer < trace.layers; ++layer) {
    auto a = totals(loads_of(trace, layer), from);
    auto b = totals(loads_of(trace, layer), to);
    const double sum_a = sum_of(a);
    const double sum_b = sum_of(b);
    double here = 0;
    double aa = 0;
    double bb = 0;
    double ab = 0;
    for (std::size_t e = 0; e < a.size(); ++e) {
      here += std::max(0.0, a[e] / sum_a - b[e] / sum_b);  // what one has more, the other has less
      const double x = a[e] - sum_a / double(a.size());
      const double y = b[e] - sum_b / double(b.size());
      aa += x * x;
      bb += y * y;
      ab += x * y;
    }
    variation += here / trace.layers;
    largest = std::max(largest, here);
    correlation += ab / std::sqrt(aa) / std::sqrt(bb) / trace.layers;
  }
  EXPECT_NEAR(drift.variation, variation, 1e-12);
  EXPECT_NEAR(drift.largest_variation, largest, 1e-12);
  EXPECT_NEAR(drift.correlation, correlation, 1e-9);
}

TEST(TraceInfo, AgreesWithItsDefinitions) {
  Random random(4);
  int groups = 0;
  int temporal = 0;
  for (int round = 0; round < 60; ++round) {
    const int experts = 6 + int(random.below(12));
    const int steps = 8 + int(random.below(70));
    auto trace = make_trace(round % 2 ? "serving" : "bursty",
                            {steps, 2, experts, 2, 20 + int(random.below(200)), random.next()});
    if (trace.task.empty())
      for (int step = 0; step < steps; ++step)
        trace.task.push_back(std::int32_t(10 * random.below(3)));
    TraceInfoOptions options;
    options.used_above = round % 3 == 0 ? 0 : random.uniform();
    options.fire_above = 1 + random.uniform();
    options.fire_together = 0.2 + 0.5 * random.uniform();
    options.fire_least = 1 + int(random.below(4));
    options.temporal_burst = 1 + 3 * random.uniform();
    const auto info = trace_info(trace, options);
    ASSERT_EQ(info.layers.size(), 2u);
    double skew = 0;
    for (int layer = 0; layer < 2; ++layer) {
      expect_layer(trace, layer, info.layers[std::size_t(layer)], options);
      skew += info.layers[std::size_t(layer)].skew / 2;
    }
    EXPECT_NEAR(info.skew, skew, 1e-12);
    groups += info.groups;
    temporal += info.temporal > 0;
    std::set<int> first;
    std::set<int> second;
    std::set<int> even;
    std::set<int> odd;
    std::map<int, std::set<int>> tasks;
    for (int step = 0; step < steps; ++step) {
      (step < steps / 2 ? first : second).insert(step);
      (step % 2 ? odd : even).insert(step);
      tasks[trace.task[std::size_t(step)]].insert(step);
    }
    ASSERT_TRUE(info.halves && info.chance);
    expect_drift(trace, *info.halves, first, second);
    expect_drift(trace, *info.chance, even, odd);
    EXPECT_EQ(info.tasks.size(), tasks.size() * (tasks.size() - 1) / 2);
    for (const auto& drift : info.tasks) {
      EXPECT_LT(drift.from, drift.to);
      expect_drift(trace, drift, tasks.at(drift.from), tasks.at(drift.to));
    }
  }
  EXPECT_GT(groups, 20) << "else the comparison is empty";
  EXPECT_GT(temporal, 10);
}

TEST(TraceInfo, FindsWhatServingWasMadeOf) {
  const auto trace = make_trace("serving", {1024, 8, 64, 4, 2048, 3});
  const auto info = trace_info(trace);
  EXPECT_NEAR(info.temporal, 0.20, 0.06);
  EXPECT_NEAR(info.temporal_duty, 0.17, 0.04);
  EXPECT_NEAR(info.temporal_burst, 3.8, 1.2);
  EXPECT_NEAR(info.consistent + info.temporal, 0.6, 0.2) << "half of the others lie below 85 %";
  EXPECT_NEAR(info.grouped, 0.20, 0.05);
  for (const auto& layer : info.layers)
    for (const auto& group : layer.groups)
      for (int expert : group) {
        EXPECT_LT(layer.duty[std::size_t(expert)], 0.4);
        EXPECT_EQ(layer.duty[std::size_t(expert)], layer.duty[std::size_t(group[0])]);
      }
  EXPECT_TRUE(info.tasks.empty());
}

TEST(TraceInfo, SeesTasksAsDrift) {
  const auto trace = make_trace("bursty", {1024, 4, 128, 8, 8192, 3});
  const auto info = trace_info(trace);
  ASSERT_EQ(info.tasks.size(), 6u);
  for (const auto& drift : info.tasks) {
    EXPECT_GT(drift.variation, 3 * info.chance->variation);
    EXPECT_LT(drift.correlation, info.chance->correlation);
  }
  EXPECT_NEAR(info.skew, 3.9, 0.8);
  const SyntheticParameter still[] = {{"tasks", 1}, {"duty", 0}, {"drift_sigma", 0}};
  const auto steady = trace_info(make_trace("bursty", {1024, 4, 128, 8, 8192, 3}, still));
  EXPECT_LT(steady.halves->variation, 0.02);
  EXPECT_GT(steady.halves->correlation, 0.99);
}

TEST(TraceInfo, OneStepAndIdleStepsAndEqualLoads) {
  const auto one = trace_info(make_trace("even", {1, 1, 8, 2, 16, 0}));
  EXPECT_FALSE(one.halves || one.chance);
  EXPECT_EQ(one.skew, 1);
  EXPECT_EQ(one.consistent, 1);
  const auto even = trace_info(make_trace("even", {10, 2, 8, 2, 16, 0}));
  ASSERT_TRUE(even.halves);
  EXPECT_EQ(even.halves->variation, 0);
  EXPECT_EQ(even.halves->correlation, 1);
  auto idle = make_trace("even", {4, 1, 8, 2, 16, 0});
  std::fill(idle.tokens.begin(), idle.tokens.begin() + 16, 0);
  const auto info = trace_info(idle);
  EXPECT_FALSE(info.halves) << "the first half has no load";
  EXPECT_EQ(info.step_skew, 1);
  EXPECT_EQ(info.layers[0].duty[0], 0.5);
}

TEST(TraceInfo, ComparesTheLongestTasksOnly) {
  auto trace = make_trace("serving", {60, 1, 8, 2, 64, 0});
  for (int step = 0; step < 60; ++step) trace.task.push_back(step < 30 ? 1000000 : step);
  TraceInfoOptions options;
  options.most_tasks = 3;
  const auto info = trace_info(trace, options);
  ASSERT_EQ(info.tasks.size(), 3u);
  EXPECT_EQ(info.tasks[0].from, 30);
  EXPECT_EQ(info.tasks[1].to, 1000000);
}

TEST(TraceInfo, RefusesNonsense) {
  const auto trace = make_trace("even", {2, 1, 8, 2, 16, 0});
  const auto refuse = [&](const char* part, auto spoil) {
    TraceInfoOptions options;
    spoil(options);
    expect_refused(part, [&] { (void)trace_info(trace, options); });
  };
  refuse("used_above", [](auto& o) { o.used_above = -1; });
  refuse("consistent_duty", [](auto& o) { o.consistent_duty = 85; });
  refuse("about", [](auto& o) { o.about = std::numeric_limits<double>::quiet_NaN(); });
  refuse("fire_together", [](auto& o) { o.fire_together = 1.5; });
  refuse("fire_least", [](auto& o) { o.fire_least = 0; });
  refuse("most_tasks", [](auto& o) { o.most_tasks = 0; });
  auto broken = trace;
  broken.tokens[0] = -1;
  expect_refused("negative", [&] { (void)trace_info(broken); });
}

}  // namespace
}  // namespace gembench
