#include "placement/loads/power_law_fit.hpp"

#include <cmath>
#include <limits>

#include "placement/loads/synthetic.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

Trace power_law(const SyntheticSpec& spec, double alpha) {
  const SyntheticParameter set[] = {{"alpha", alpha}};
  return make_trace("power-law", spec, set);
}

/// One step of these loads; nobody gets every token.
Trace trace_of(const std::vector<std::int32_t>& loads) {
  Trace trace;
  trace.steps = trace.layers = trace.topk = 1;
  trace.experts = int(loads.size()) + 1;
  trace.tokens = loads;
  trace.tokens.push_back(1);  // too few to count
  return trace;
}

/// The best of a fine grid of alphas, the law's integral by Simpson's rule.
double plain_alpha(std::vector<std::int32_t> loads) {
  std::ranges::sort(loads);
  loads.erase(loads.begin(), loads.begin() + std::ptrdiff_t(loads.size() / 10));
  const double low = loads.front();
  const double high = loads.back();
  double best = 0;
  double best_likelihood = -std::numeric_limits<double>::infinity();
  for (double alpha = -1; alpha < 4; alpha += 0.002) {
    const int pieces = 400;  // in ln x, where the law is smooth
    const double width = std::log(high / low) / pieces;
    double integral = 0;
    for (int i = 0; i <= pieces; ++i) {
      const double factor = i == 0 || i == pieces ? 1 : i % 2 == 1 ? 4 : 2;
      integral += factor * std::pow(low * std::exp(i * width), 1 - alpha) * width / 3;
    }
    double likelihood = 0;
    for (std::size_t i = 1; i + 1 < loads.size(); ++i)
      likelihood += -alpha * std::log(loads[i]) - std::log(integral);
    if (likelihood <= best_likelihood) continue;
    best_likelihood = likelihood;
    best = alpha;
  }
  return best;
}

TEST(PowerLawFit, IsTheMostLikelyAlpha) {
  Random random(5);
  for (const double alpha : {0.0, 0.5, 1.0, 1.7, 2.5}) {
    std::vector<std::int32_t> loads;
    for (int i = 0; i < 200; ++i) {
      const double slope = 1 - alpha;
      const double u = random.uniform();
      loads.push_back(int(alpha == 1
                              ? 20 * std::pow(500, u)
                              : 20 * std::pow(1 + u * (std::pow(500, slope) - 1), 1 / slope)));
    }
    const auto fit = fit_power_law(trace_of(loads));
    ASSERT_TRUE(fit) << alpha;
    EXPECT_NEAR(fit->alpha, plain_alpha(loads), 0.003);
    EXPECT_NEAR(fit->alpha, alpha, 3 * fit->error);
    EXPECT_EQ(fit->experts, 178);
    EXPECT_LT(fit->distance, fit->by_chance);
  }
}

TEST(PowerLawFit, FindsTheAlphaThatATraceWasMadeWith) {
  for (const double alpha : {0.3, 0.6, 1.01, 1.2, 2.0})
    for (const int experts : {61, 256}) {
      const auto fit = fit_power_law(power_law({32, 12, experts, 4, 4096, 3}, alpha));
      ASSERT_TRUE(fit);
      EXPECT_LT(fit->error, 0.07) << alpha << " " << experts;
      EXPECT_NEAR(fit->alpha, alpha, 3.5 * fit->error) << experts;
    }
}

TEST(PowerLawFit, TheErrorIsThatOfManyTraces) {
  double mean = 0;
  double square = 0;
  double error = 0;
  const int traces = 60;
  for (int seed = 0; seed < traces; ++seed) {
    const auto fit =
        fit_power_law(power_law({8, 2, 64, 4, 4096, std::uint64_t(seed)}, 1.2)).value();
    mean += fit.alpha / traces;
    square += fit.alpha * fit.alpha / traces;
    error += fit.error / traces;
  }
  EXPECT_NEAR(std::sqrt(square - mean * mean) / error, 1, 0.3);
  EXPECT_NEAR(mean, 1.2, 3 * error / std::sqrt(traces) + 0.03);
}

TEST(PowerLawFit, ScaleAndOrderDoNotMatter) {
  const std::vector<std::int32_t> loads{11, 700, 25, 90, 30, 14, 52, 210, 16, 19, 41, 12};
  auto other = loads;
  std::ranges::reverse(other);
  for (auto& load : other) load *= 1000;
  EXPECT_NEAR(fit_power_law(trace_of(loads))->alpha, fit_power_law(trace_of(other))->alpha, 1e-9);
}

TEST(PowerLawFit, SaysWhereTheLawDoesNotHold) {
  std::vector<std::int32_t> two;  // two heaps
  for (int i = 0; i < 60; ++i) two.push_back(i < 30 ? 100 + i : 5000 + i);
  const auto fit = fit_power_law(trace_of(two));
  ASSERT_TRUE(fit);
  EXPECT_GT(fit->distance, 2 * fit->by_chance);
}

TEST(PowerLawFit, NothingIsSaidOfEvenOrFewLoads) {
  EXPECT_FALSE(fit_power_law(make_trace("even", {64, 3, 32, 4, 1000, 1})));
  EXPECT_FALSE(fit_power_law(power_law({64, 3, 32, 4, 1000, 1}, 0)));
  EXPECT_FALSE(fit_power_law(trace_of({10, 20, 30, 40, 50, 60, 70, 80, 90})));  // 7 between
  EXPECT_FALSE(fit_power_law(trace_of({5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5})));
  EXPECT_FALSE(fit_power_law(make_trace("even", {1, 1, 1, 1, 1, 1})));
  auto idle = make_trace("even", {4, 1, 8, 2, 16, 0});
  std::ranges::fill(idle.tokens, 0);
  EXPECT_FALSE(fit_power_law(idle));
}

}  // namespace
}  // namespace gembench
