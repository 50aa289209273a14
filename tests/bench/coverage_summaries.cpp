#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"
#include "tests/bench/coverage_cells.hpp"
#include "tests/bench/made_data.hpp"

namespace gembench {
namespace {

constexpr double kNoise = 0.05;  // standard deviation of a step's time
constexpr int kForTruth = 1000000;
constexpr int kCounts[] = {2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 40, 60, 70, 80, 120, 200, 700};

struct Kind {
  const char* name;
  std::function<std::vector<double>(Random&, int)> draw;
  int block = 1;       ///< steps that run together
  bool waited = true;  ///< delays are of one rank, and waited for; else all ranks are late
};

/// Steps of one placement: their times, and of those the waits.
struct Steps {
  std::vector<double> time, wait;
};
Steps steps_of(Random& random, const std::vector<double>& values, bool waited) {
  Steps steps;
  for (const double value : values) {
    steps.time.push_back(1 + kNoise * value);
    const double wait = 0.3 + (waited ? kNoise * value : 0) + 0.03 * standard_normal(random);
    steps.wait.push_back(std::clamp(wait, 0.0, std::max(0.0, steps.time.back())));
  }
  return steps;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// One printed number: how its interval is made, and its value.
struct Summary {
  const char* name;
  std::function<std::optional<Interval>(const Steps&, const StepBlocks&, double usual)> interval;
  std::function<double(const Steps&)> value;
};
const Summary kSummaries[] = {
    {"mean",
     [](const auto& s, const auto& b, double usual) { return mean_interval(s.time, b, usual); },
     [](const auto& s) { return mean(s.time); }},
    {"p50", [](const auto& s, const auto& b, double) { return quantile_interval(s.time, b, 0.5); },
     [](const auto& s) { return quantile(s.time, 0.5); }},
    {"p90", [](const auto& s, const auto& b, double) { return quantile_interval(s.time, b, 0.9); },
     [](const auto& s) { return quantile(s.time, 0.9); }},
    {"p99", [](const auto& s, const auto& b, double) { return quantile_interval(s.time, b, 0.99); },
     [](const auto& s) { return quantile(s.time, 0.99); }},
    {"wait mean",
     [](const auto& s, const auto& b, double usual) { return mean_interval(s.wait, b, usual); },
     [](const auto& s) { return mean(s.wait); }},
    {"wait share",
     [](const auto& s, const auto& b, double usual) {
       return ratio_interval(s.wait, s.time, b, usual);
     },
     [](const auto& s) { return mean(s.wait) / mean(s.time); }}};

StepBlocks blocks_of(int n, int block) {
  std::vector<std::int64_t> of;
  for (int step = 0; step < n; ++step) of.push_back(step / block);
  return StepBlocks(of);
}

void time_coverage(int sets) {
  const Kind kinds[] = {{"normal", independent},
                        {"heavy tails", heavy},
                        {"disturbed steps", delayed},
                        {"1 in 20 doubled", doubled},
                        {"1 in 20, all ranks", doubled, 1, false},
                        {"1 in 50, to x3", seldom_delayed},
                        {"AR(1) 0.5", autoregressive},
                        {"drift", drifting},
                        {"blocks of 4", in_blocks<4>, 4},
                        {"blocks of 8", in_blocks<8>, 8}};
  for (const Kind& kind : kinds) {
    Random many(1);
    const Steps all = steps_of(many, kind.draw(many, kForTruth), kind.waited);
    std::vector<double> truths;
    for (const Summary& summary : kSummaries) truths.push_back(summary.value(all));
    for (const int n : kCounts) {
      Random random(fold(static_cast<std::uint64_t>(n), 3));
      const StepBlocks blocks = blocks_of(n, kind.block);
      std::vector<Cell> cells(std::size(kSummaries));
      for (int set = 0; set < sets; ++set) {
        const Steps steps = steps_of(random, kind.draw(random, n), kind.waited);
        const double usual = quantile(steps.time, 0.5);
        for (std::size_t i = 0; i < cells.size(); ++i) {
          cells[i].add(kSummaries[i].interval(steps, blocks, usual), truths[i], n);
        }
      }
      for (std::size_t i = 0; i < cells.size(); ++i) {
        cells[i].print(kSummaries[i].name, kind.name, fmt::format("{}", n));
      }
    }
  }
}

// Who arrives last.
constexpr int kRanks = 4, kLayers = 4;

/// [step][layer] the rank that is last.
using Last = std::vector<int>;

int other_rank(Random& random) {
  return 1 + static_cast<int>(random.uniform() * (kRanks - 1));
}

int any_rank(Random& random) {
  return static_cast<int>(random.uniform() * kRanks);
}

/// Rank 0 with this probability in every layer.
Last layer_by_layer(Random& random, int n, double probability) {
  Last last;
  for (int i = 0; i < n * kLayers; ++i) {
    last.push_back(random.uniform() < probability ? 0 : other_rank(random));
  }
  return last;
}

/// The same, in all layers of a step alike.
Last step_by_step(Random& random, int n, double probability) {
  Last last;
  for (int step = 0; step < n; ++step) {
    const int rank = random.uniform() < probability ? 0 : other_rank(random);
    last.insert(last.end(), kLayers, rank);
  }
  return last;
}

/// A rank that stays slow for two steps in the mean, in three of five layers.
Last staying(Random& random, int n) {
  Last last;
  int slow = any_rank(random);
  for (int step = 0; step < n; ++step) {
    if (random.uniform() < 0.5) slow = any_rank(random);
    for (int layer = 0; layer < kLayers; ++layer) {
      last.push_back(random.uniform() < 0.6 ? slow : any_rank(random));
    }
  }
  return last;
}

struct StragglerKind {
  const char* name;
  double first;  ///< share of rank 0; the others have as much each
  std::function<Last(Random&, int)> draw;
};

void straggler_coverage(int sets) {
  const StragglerKind kinds[] = {
      {"any rank", 0.25, [](Random& r, int n) { return layer_by_layer(r, n, 0.25); }},
      {"one slow rank", 0.7, [](Random& r, int n) { return layer_by_layer(r, n, 0.7); }},
      {"nearly always one", 0.98, [](Random& r, int n) { return layer_by_layer(r, n, 0.98); }},
      {"all layers alike", 0.8, [](Random& r, int n) { return step_by_step(r, n, 0.8); }},
      {"any, layers alike", 0.25, [](Random& r, int n) { return step_by_step(r, n, 0.25); }},
      {"steps alike", 0.25, staying}};
  for (const StragglerKind& kind : kinds) {
    for (const int n : kCounts) {
      Random random(fold(static_cast<std::uint64_t>(n), 4));
      const StepBlocks blocks = blocks_of(n, 1);
      Cell cell;
      for (int set = 0; set < sets; ++set) {
        const Last last = kind.draw(random, n);
        std::vector<std::ptrdiff_t> counts;
        for (int rank = 0; rank < kRanks; ++rank) counts.push_back(std::ranges::count(last, rank));
        const auto rank = static_cast<int>(std::ranges::max_element(counts) - counts.begin());
        std::vector<double> shares;
        for (auto step = last.begin(); step != last.end(); step += kLayers) {
          shares.push_back(static_cast<double>(std::count(step, step + kLayers, rank)) / kLayers);
        }
        cell.add(proportion_interval(shares, kLayers, blocks, kRanks),
                 rank == 0 ? kind.first : (1 - kind.first) / (kRanks - 1), n);
      }
      cell.print("straggler share", kind.name, fmt::format("{}", n));
    }
  }
}

}  // namespace

void summary_coverage(int sets) {
  time_coverage(sets);
  straggler_coverage(sets);
}

}  // namespace gembench
