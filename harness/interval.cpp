#include "harness/interval.hpp"

#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <map>

#include "placement/random.hpp"
#include "placement/score.hpp"

namespace gembench {
namespace {

constexpr int kResamples = 10000;

}  // namespace

Difference paired_difference(const std::vector<double>& a, const std::vector<double>& b,
                             const std::vector<std::int64_t>& block) {
  struct Sums {
    double a = 0, b = 0;
  };
  std::map<std::int64_t, Sums> by_block;
  for (std::size_t step = 0; step < block.size(); ++step) {
    if (block[step] < 0 || std::isnan(a[step]) || std::isnan(b[step])) continue;
    by_block[block[step]].a += a[step];
    by_block[block[step]].b += b[step];
  }
  std::vector<Sums> sums;
  Sums total;
  for (const auto& [index, sum] : by_block) {
    sums.push_back(sum);
    total.a += sum.a;
    total.b += sum.b;
  }
  Difference difference;
  difference.blocks = static_cast<int>(sums.size());
  difference.mean = total.a > 0 ? total.b / total.a - 1 : NAN;
  if (difference.blocks < kLeastBlocks) return difference;

  std::vector<double> resampled(kResamples);
  Random random(0);
  for (double& value : resampled) {
    Sums drawn;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const Sums& one = sums[random.below(sums.size())];
      drawn.a += one.a;
      drawn.b += one.b;
    }
    value = drawn.b / drawn.a - 1;
  }
  const auto n = static_cast<double>(sums.size());
  const boost::math::students_t student(n - 1);
  const double wide = std::sqrt(n / (n - 1)) * boost::math::quantile(student, 0.975);
  const double tail = boost::math::cdf(boost::math::normal(), -wide);
  difference.low = quantile(resampled, tail);
  difference.high = quantile(resampled, 1 - tail);
  return difference;
}

}  // namespace gembench
