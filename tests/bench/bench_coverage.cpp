// How often the program's intervals hold the truth: made data of known truth, kind by kind and
// count by count. One JSON line a cell; coverage.py prints the tables and judges them.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "harness/run/stop_rule.hpp"
#include "harness/statistics/interval.hpp"
#include "placement/base/random.hpp"
#include "tests/bench/coverage_cells.hpp"
#include "tests/bench/made_data.hpp"

namespace gembench {
namespace {

constexpr double kNoise = 0.05;   // standard deviation of a log ratio
constexpr double kTruth = -0.08;  // of the log ratio

/// Log ratios around 0, in units of kNoise.
struct Kind {
  const char* name;
  std::function<std::vector<double>(Random&, int)> draw;
  bool steady = true;  ///< the first pairs have the truth of all: a run may end early
};

void add(Cell& cell, const Difference& d) {
  std::optional<Interval> interval;
  if (d.low) interval = Interval{*d.low, *d.high};
  cell.add(interval, std::expm1(kTruth), d.blocks);
}

/// Times of pairs with these log ratios, times what both sides of a pair share.
struct Times {
  std::vector<double> a, b;
  std::vector<std::int64_t> block;
};
Times times_of(Random& random, const std::vector<double>& values) {
  Times times;
  for (const double value : values) {
    times.a.push_back(std::exp(0.2 * standard_normal(random)));
    times.b.push_back(times.a.back() * std::exp(kTruth + kNoise * value));
    times.block.push_back(static_cast<std::int64_t>(times.block.size()));
  }
  return times;
}

/// As `run --precision 2` does: looks at checkpoints, ends when the interval is narrow enough.
Difference until_precise(const Times& all) {
  Difference d;
  for (int n = 1; n <= static_cast<int>(all.a.size()); ++n) {
    if (!is_checkpoint(n, n)) continue;
    const auto end = [n](const auto& values) { return values.begin() + n; };
    d = paired_difference({all.a.begin(), end(all.a)}, {all.b.begin(), end(all.b)},
                          {all.block.begin(), end(all.block)});
    if (d.low && (*d.high - *d.low) / 2 <= 0.02) break;
  }
  return d;
}

int all_cells(int sets) {
  const Kind kinds[] = {{"normal", independent},
                        {"heavy tails", heavy},
                        {"disturbed steps", disturbed},
                        {"AR(1) 0.5", autoregressive},
                        {"drift", drifting, false}};
  for (const Kind& kind : kinds) {
    for (const int n : {2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 30, 40}) {
      Random random(fold(static_cast<std::uint64_t>(n), 1));
      Cell cell;
      for (int set = 0; set < sets; ++set) {
        const Times times = times_of(random, kind.draw(random, n));
        add(cell, paired_difference(times.a, times.b, times.block));
      }
      cell.print("pairs", kind.name, fmt::format("{}", n));
    }
    if (!kind.steady) continue;
    Random random(2);
    Cell cell;
    for (int set = 0; set < sets; ++set) {
      add(cell, until_precise(times_of(random, kind.draw(random, 192))));
    }
    cell.print("pairs", kind.name, "precise");
  }
  summary_coverage(sets);
  launch_coverage(sets);
  return 0;
}

}  // namespace
}  // namespace gembench

int main(int argc, char** argv) {
  return gembench::all_cells(argc > 1 ? std::atoi(argv[1]) : 2000);
}
