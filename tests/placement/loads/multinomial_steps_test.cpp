#include <cmath>
#include <numeric>

#include "placement/loads/multinomial_steps.hpp"
#include "placement/loads/synthetic.hpp"
#include "tests/placement/support.hpp"

namespace gembench {
namespace {

using testing::expect_refused;

Trace totals_of(int topk, std::vector<std::int32_t> counts, int layers = 1) {
  Trace totals;
  totals.steps = 1;
  totals.layers = layers;
  totals.experts = int(counts.size()) / layers;
  totals.topk = topk;
  totals.tokens = std::move(counts);
  totals.source = "a recorder";
  return totals;
}

TEST(Expansion, StepsAreSoundAndLabelled) {
  const auto run = make_trace("bursty", {1, 3, 32, 4, 1000000, 5});
  const auto trace = expand_multinomial(run, {40, 256, 9});
  EXPECT_NO_THROW(validate(trace));
  EXPECT_EQ(trace.steps, 40);
  EXPECT_EQ(trace.layers, 3);
  EXPECT_EQ(trace.topk, 4);
  for (int step = 0; step < trace.steps; ++step) EXPECT_EQ(trace.tokens_in_step(step), 256);
  for (const char* part : {"40 steps of 256 tokens", "multinomial", "seed 9", "synthetic bursty"})
    EXPECT_NE(trace.source.find(part), std::string::npos) << trace.source;
  EXPECT_EQ(trace.tokens, expand_multinomial(run, {40, 256, 9}).tokens);
  EXPECT_NE(trace.tokens, expand_multinomial(run, {40, 256, 10}).tokens);
  EXPECT_EQ(slice(trace, 0, 7).tokens, expand_multinomial(run, {7, 256, 9}).tokens);
}

TEST(Expansion, MomentsAreThoseOfAMultinomial) {
  // Means from a fraction of a token to hundreds: both branches of the binomial.
  const std::vector<std::int32_t> counts{1, 10, 100, 400, 900, 1500, 2000, 2089, 1000, 0};
  const double sum = 8000;
  for (const int tokens : {20, 2000}) {
    const int steps = 20000;
    const auto trace = expand_multinomial(totals_of(2, counts), {steps, tokens, 3});
    const double n = 2.0 * tokens;
    for (std::size_t a = 0; a < counts.size(); ++a) {
      const double share = counts[a] / sum;
      double mean = 0;
      double square = 0;
      double product = 0;
      const auto b = (a + 1) % counts.size();
      const double share_b = counts[b] / sum;
      for (int step = 0; step < steps; ++step) {
        const auto row = trace.loads(step, 0);
        const double x = row[a] - n * share;
        mean += x / steps;
        square += x * x / steps;
        product += x * (row[b] - n * share_b) / steps;
      }
      const double variance = n * share * (1 - share);
      EXPECT_NEAR(mean, 0, 5 * std::sqrt(variance / steps)) << a;
      EXPECT_NEAR(square, variance, 0.08 * variance + 0.003) << a;
      const double covariance = -n * share * share_b;
      EXPECT_NEAR(product, covariance,
                  0.1 * -covariance + 5 * n * std::sqrt(share * share_b / steps))
          << a;
    }
  }
}

TEST(Expansion, AnExpertEveryTokenChoosesIsCapped) {
  const auto trace = expand_multinomial(totals_of(2, {500, 300, 150, 50}), {500, 64, 1});
  EXPECT_NO_THROW(validate(trace));
  double hottest = 0;
  for (int step = 0; step < trace.steps; ++step) hottest += trace.loads(step, 0)[0] / 500.0;
  EXPECT_GT(hottest, 58);
  EXPECT_LE(hottest, 64);
}

TEST(Expansion, LayersMayHaveDifferentSums) {
  const auto trace = expand_multinomial(totals_of(1, {10, 30, 500, 500}, 2), {2000, 100, 1});
  EXPECT_NO_THROW(validate(trace));
  double first = 0;
  double second = 0;
  for (int step = 0; step < trace.steps; ++step) {
    first += trace.loads(step, 0)[0] / 2000.0;
    second += trace.loads(step, 1)[0] / 2000.0;
  }
  EXPECT_NEAR(first, 25, 0.6);
  EXPECT_NEAR(second, 50, 0.6);
}

TEST(Expansion, WeightsHave64Bits) {
  RunTotals large = totals_of(2, {1, 2, 3, 4});
  const auto small_draw = expand_multinomial(large, {50, 64, 3});
  for (auto& count : large.counts) count *= 800'000'000'000'000'000;
  EXPECT_EQ(expand_multinomial(large, {50, 64, 3}).tokens, small_draw.tokens);
  large.counts[0] = 3'000'000'000'000'000'000;
  expect_refused("64 bits", [&] { (void)expand_multinomial(large, {50, 64, 3}); });
}

TEST(Expansion, RefusesWhatAreNoRunTotals) {
  const auto refuse = [](const char* part, const Trace& totals, ExpansionSpec spec) {
    expect_refused(part, [&] { (void)expand_multinomial(totals, spec); });
  };
  const auto good = totals_of(1, {1, 2});
  refuse("at least 1", good, {0, 1, 0});
  refuse("at least 1", good, {1, -1, 0});
  refuse("impossible size", good, {2000000000, 1, 0});
  refuse("do not fit 32 bits", totals_of(2, {2, 2, 2}), {1, 2000000000, 0});
  refuse("no tokens", totals_of(1, {1, 1, 0, 0}, 2), {1, 1, 0});
  refuse("negative", totals_of(1, {3, -1}), {1, 1, 0});
  refuse("check top-k", totals_of(2, {3, 1}), {1, 1, 0});
  refuse("impossible shape", totals_of(3, {3, 1}), {1, 1, 0});
  auto two = good;
  two.steps = 2;
  two.tokens = {1, 2, 1, 2};
  refuse("one step", two, {1, 1, 0});
  auto broken = good;
  broken.tokens.push_back(1);
  refuse("impossible shape", broken, {1, 1, 0});
}

}  // namespace
}  // namespace gembench
