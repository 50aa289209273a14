// How often the program's intervals hold the truth: made data of known difference, kind by kind and
// count by count. One JSON line a cell; coverage.py prints the table and judges it.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "harness/interval.hpp"
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
};

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
                        {"drift", drifting}};
  for (const Kind& kind : kinds) {
    for (const int n : {2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 30, 40}) {
      Random random(fold(static_cast<std::uint64_t>(n), 1));
      int printed = 0, held = 0;
      double width = 0;
      for (int set = 0; set < sets; ++set) {
        std::vector<double> a, b;
        std::vector<std::int64_t> block;
        for (const double value : kind.draw(random, n)) {
          a.push_back(std::exp(0.2 * normal(random)));  // what both share
          b.push_back(a.back() * std::exp(kTruth + kNoise * value));
          block.push_back(static_cast<std::int64_t>(block.size()));
        }
        const Difference d = paired_difference(a, b, block);
        if (!d.low) continue;
        const double truth = std::expm1(kTruth);
        ++printed;
        held += *d.low <= truth && truth <= *d.high ? 1 : 0;
        width += (*d.high - *d.low) / 2;
      }
      fmt::print(
          "{{\"kind\": \"{}\", \"n\": {}, \"sets\": {}, \"printed\": {}, \"held\": {}, "
          "\"half_width\": {:.6g}}}\n",
          kind.name, n, sets, printed, held, printed ? width / printed : 0.0);
    }
  }
  return 0;
}

}  // namespace
}  // namespace gembench

int main(int argc, char** argv) {
  return gembench::run(argc > 1 ? std::atoi(argv[1]) : 2000);
}
