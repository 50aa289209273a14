#include "tests/bench/made_data.hpp"

#include <cmath>

namespace gembench {

/// By the polar method.
double standard_normal(Random& random) {
  for (;;) {
    const double x = 2 * random.uniform() - 1, y = 2 * random.uniform() - 1;
    const double s = x * x + y * y;
    if (s > 0 && s < 1) return x * std::sqrt(-2 * std::log(s) / s);
  }
}

std::vector<double> independent(Random& random, int n) {
  std::vector<double> values;
  for (int i = 0; i < n; ++i) values.push_back(standard_normal(random));
  return values;
}

std::vector<double> heavy(Random& random, int n) {  // Student's t with 3 degrees of freedom
  std::vector<double> values;
  for (int i = 0; i < n; ++i) {
    double squares = 0;
    for (int k = 0; k < 3; ++k) squares += std::pow(standard_normal(random), 2);
    values.push_back(standard_normal(random) / std::sqrt(squares / 3));
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

namespace {

std::vector<double> longer(Random& random, int n, double share, auto&& by) {
  auto values = independent(random, n);
  for (double& value : values) {
    if (random.uniform() < share) value += by();
  }
  return values;
}

}  // namespace

std::vector<double> delayed(Random& random, int n) {
  return longer(random, n, 0.05, [&] { return 20 * random.uniform(); });
}

std::vector<double> doubled(Random& random, int n) {
  return longer(random, n, 0.05, [] { return 20.0; });
}

std::vector<double> seldom_delayed(Random& random, int n) {
  return longer(random, n, 0.02, [&] { return 40 * random.uniform(); });
}

std::vector<double> autoregressive(Random& random, int n) {  // AR(1), 0.5
  std::vector<double> values;
  double value = standard_normal(random) / std::sqrt(0.75);
  for (int i = 0; i < n; ++i) {
    values.push_back(value);
    value = 0.5 * value + standard_normal(random);
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

}  // namespace gembench
