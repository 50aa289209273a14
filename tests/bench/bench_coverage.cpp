// How often the program's intervals hold the truth: made data of known difference, kind by kind and
// count by count. One JSON line a cell; coverage.py prints the table and judges it.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "harness/interval.hpp"
#include "harness/stop_rule.hpp"
#include "placement/random.hpp"

namespace gembench {
namespace {

constexpr double kNoise = 0.05;   // standard deviation of a log ratio
constexpr double kTruth = -0.08;  // of the log ratio

/// Standard normal, by the polar method.
double normal(Random& random) {
  for (;;) {
    const double x = 2 * random.uniform() - 1, y = 2 * random.uniform() - 1;
    const double s = x * x + y * y;
    if (s > 0 && s < 1) return x * std::sqrt(-2 * std::log(s) / s);
  }
}

/// Log ratios around 0, in units of kNoise.
struct Kind {
  const char* name;
  std::function<std::vector<double>(Random&, int)> draw;
  bool steady = true;  ///< the first pairs have the truth of all: a run may end early
};

/// Intervals of one cell.
struct Cell {
  int sets = 0, printed = 0, held = 0;
  double width = 0, pairs = 0;
  void add(const Difference& d) {
    ++sets;
    pairs += d.blocks;
    if (!d.low) return;
    const double truth = std::expm1(kTruth);
    ++printed;
    held += *d.low <= truth && truth <= *d.high ? 1 : 0;
    width += (*d.high - *d.low) / 2;
  }
  void print(const char* kind, const std::string& n) const {
    fmt::print(
        "{{\"kind\": \"{}\", \"n\": \"{}\", \"sets\": {}, \"printed\": {}, \"held\": {}, "
        "\"half_width\": {:.6g}, \"pairs\": {:.1f}}}\n",
        kind, n, sets, printed, held, printed ? width / printed : 0.0, pairs / sets);
  }
};

/// Times of pairs with these log ratios, times what both sides of a pair share.
struct Times {
  std::vector<double> a, b;
  std::vector<std::int64_t> block;
};
Times times_of(Random& random, const std::vector<double>& values) {
  Times times;
  for (const double value : values) {
    times.a.push_back(std::exp(0.2 * normal(random)));
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

std::vector<double> independent(Random& random, int n) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(normal(random));
  return values;
}

std::vector<double> heavy(Random& random, int n) {  // Student's t with 3 degrees of freedom
  std::vector<double> values;
  for (int i = 0; i < n; ++i) {
    double squares = 0;
    for (int k = 0; k < 3; ++k) squares += std::pow(normal(random), 2);
    values.push_back(normal(random) / std::sqrt(squares / 3));
  }
  return values;
}

std::vector<double> disturbed(Random& random,
                              int n) {  // a step in 20 takes up to 2.7 times as long
  auto values = independent(random, n);
  for (double& value : values) {
    if (random.uniform() < 0.05) value += (random.uniform() < 0.5 ? -20 : 20) * random.uniform();
  }
  return values;
}

std::vector<double> autoregressive(Random& random, int n) {  // AR(1), 0.5
  std::vector<double> values;
  double value = normal(random) / std::sqrt(0.75);
  for (int i = 0; i < n; ++i) {
    values.push_back(value);
    value = 0.5 * value + normal(random);
  }
  return values;
}

std::vector<double> drifting(Random& random, int n) {  // by two standard deviations from end to end
  auto values = independent(random, n);
  for (int i = 0; i < n; ++i) {
    values[static_cast<std::size_t>(i)] += n > 1 ? 2.0 * i / (n - 1) - 1 : 0.0;
  }
  return values;
}

int run(int sets) {
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
        cell.add(paired_difference(times.a, times.b, times.block));
      }
      cell.print(kind.name, fmt::format("{}", n));
    }
    if (!kind.steady) continue;
    Random random(2);
    Cell cell;
    for (int set = 0; set < sets; ++set) {
      cell.add(until_precise(times_of(random, kind.draw(random, 192))));
    }
    cell.print(kind.name, "precise");
  }
  return 0;
}

}  // namespace
}  // namespace gembench

int main(int argc, char** argv) {
  return gembench::run(argc > 1 ? std::atoi(argv[1]) : 2000);
}
