#include <cmath>
#include <functional>
#include <vector>

#include "harness/report/launches.hpp"
#include "tests/bench/coverage_cells.hpp"
#include "tests/bench/made_data.hpp"

namespace gembench {
namespace {

constexpr double kNoise = 0.05;   // standard deviation of a pair's log ratio
constexpr double kTruth = -0.08;  // of the log ratio, mean over all launches there could be

struct Kind {
  const char* name;
  double between;  ///< standard deviation of launches, in that of a launch's mean pair
  int pairs;       ///< of a launch
  std::function<std::vector<double>(Random&, int)> draw;
};

Difference launch(Random& random, const Kind& kind) {
  const double effect = kind.between * standard_normal(random) / std::sqrt(kind.pairs);
  std::vector<double> values = kind.draw(random, kind.pairs);
  for (double& value : values) value = kTruth + kNoise * (value + effect);
  return typical_difference(values);
}

}  // namespace

void launch_coverage(int sets) {
  const Kind kinds[] = {
      {"launches alike", 0, 16, independent},     {"as within", 1, 16, independent},
      {"3 x within", 3, 16, independent},         {"alike, heavy tails", 0, 16, heavy},
      {"as within, disturbed", 1, 16, disturbed}, {"3 x within, AR(1)", 3, 16, autoregressive},
      {"alike, 3 pairs each", 0, 3, independent}, {"3 x within, 3 pairs", 3, 3, independent}};
  for (const Kind& kind : kinds) {
    for (const int n : {2, 3, 4, 5, 6, 8, 10, 20}) {
      Random random(fold(static_cast<std::uint64_t>(n), 5));
      Cell cell;
      for (int set = 0; set < sets; ++set) {
        std::vector<Difference> launches;
        for (int i = 0; i < n; ++i) launches.push_back(launch(random, kind));
        const PooledDifference d = pooled_difference(launches, 1);
        std::optional<Interval> interval;
        if (d.low) interval = Interval{*d.low, *d.high};
        cell.add(interval, std::expm1(kTruth), n);
      }
      cell.print("launches", kind.name, fmt::format("{}", n));
    }
  }
}

}  // namespace gembench
