#include "placement/loads/draws.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gembench::inline loads {

double normal(Random& random) {
  std::int64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    const auto bits = random.next();
    for (int part = 0; part < 64; part += 16)
      sum += static_cast<std::int64_t>((bits >> part) & 0xffff);
  }
  return (static_cast<double>(sum) + 6.0) / 65536.0 - 6.0;
}

double power(double base, std::int64_t exponent) {
  double result = 1;
  for (; exponent > 0; exponent >>= 1, base *= base)
    if (exponent & 1) result *= base;
  return result;
}

double exponential(double x) {
  const double y = x / 64;
  double term = 1;
  double sum = 1;
  for (int i = 1; i <= 12; ++i) {
    term *= y / i;
    sum += term;
  }
  return power(sum, 64);
}

double logarithm(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // in [0.5, 1)
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 atanh((m - 1) / (m + 1)); the argument is at most 0.172, so 10 terms are enough.
  const double y = (mantissa - 1) / (mantissa + 1);
  double sum = 0;
  for (int i = 19; i >= 1; i -= 2) sum = sum * y * y + 1.0 / i;
  return 2 * y * sum + exponent * 0.69314718055994531;
}

std::int32_t binomial(Random& random, std::int32_t n, double p) {
  if (p <= 0) return 0;
  if (p >= 1) return n;
  if (p > 0.5) return n - binomial(random, n, 1 - p);
  const double mean = n * p;
  if (mean >= 12) {
    const double drawn = std::floor(mean + std::sqrt(mean * (1 - p)) * normal(random) + 0.5);
    return static_cast<std::int32_t>(std::clamp(drawn, 0.0, static_cast<double>(n)));
  }
  double left = random.uniform();
  double chance = power(1 - p, n);
  std::int32_t k = 0;
  while (left >= chance && k < n) {
    left -= chance;
    chance *= (static_cast<double>(n - k) / (k + 1)) * (p / (1 - p));
    ++k;
  }
  return k;
}

void spread_topk(std::span<double> weight, int topk, std::span<double> share) {
  double left = topk;
  std::fill(share.begin(), share.end(), 0.0);
  for (bool capped = true; capped;) {
    capped = false;
    const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
    if (!(total > 0)) break;
    const double scale = left / total;
    for (std::size_t e = 0; e < weight.size(); ++e) {
      if (weight[e] <= 0) continue;
      share[e] = weight[e] * scale;
      if (share[e] < 1) continue;
      share[e] = 1;
      weight[e] = 0;
      left -= 1;
      capped = true;
    }
  }
}

void repair(std::span<std::int32_t> counts, std::span<double> weight, std::int64_t target,
            std::int32_t limit, Random& random) {
  auto missing = target - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (int round = 0; round < 4 && missing != 0; ++round) {
    const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
    if (!(total > 0)) break;
    const double sign = missing > 0 ? 1 : -1;
    const double scale = std::abs(static_cast<double>(missing)) / total;
    double sum = 0;
    double given = 0;
    const double offset = random.uniform();
    for (std::size_t e = 0; e < counts.size(); ++e) {
      sum += weight[e];
      const double upto = std::floor(sum * scale + offset);
      const auto wanted = counts[e] + static_cast<std::int64_t>(sign * (upto - given));
      given = upto;
      const auto got = std::clamp<std::int64_t>(wanted, 0, limit);
      if (got != wanted) weight[e] = 0;
      missing -= got - counts[e];
      counts[e] = static_cast<std::int32_t>(got);
    }
  }
  const std::int32_t one = missing > 0 ? 1 : -1;
  for (auto e = random.below(counts.size()); missing != 0; e = (e + 1) % counts.size()) {
    if (one > 0 ? counts[e] >= limit : counts[e] <= 0) continue;
    counts[e] += one;
    missing -= one;
  }
}

void draw_counts(std::span<double> weight, std::span<double> share, int topk, std::int32_t tokens,
                 std::span<std::int32_t> counts, Random& random) {
  spread_topk(weight, topk, share);
  for (std::size_t e = 0; e < counts.size(); ++e) {
    counts[e] = binomial(random, tokens, share[e]);
    weight[e] = share[e] * (1 - share[e]);
  }
  repair(counts, weight, std::int64_t{tokens} * topk, tokens, random);
}

void deal_evenly(std::span<std::int32_t> counts, std::int64_t total, std::int64_t first) {
  const auto size = static_cast<std::int64_t>(counts.size());
  std::fill(counts.begin(), counts.end(), static_cast<std::int32_t>(total / size));
  for (std::int64_t i = 0; i < total % size; ++i)
    ++counts[static_cast<std::size_t>((first + i) % size)];
}

Groups draw_groups(Random& random, int experts, double share_low, double share_high, int low,
                   int high) {
  std::vector<std::size_t> order(static_cast<std::size_t>(experts));
  std::iota(order.begin(), order.end(), std::size_t{0});
  random.shuffle(order);
  const double share = share_low + (share_high - share_low) * random.uniform();
  const auto wanted = static_cast<std::size_t>(std::lround(share * experts));
  const auto least = static_cast<std::size_t>(low);
  const auto most = static_cast<std::size_t>(high);
  Groups groups;
  groups.of.assign(order.size(), -1);
  for (std::size_t at = 0; at + 1 < wanted;) {
    auto size = std::min(least + random.below(most - least + 1), wanted - at);
    if (wanted - at - size == 1) size = size < most || size == 2 ? size + 1 : size - 1;
    for (const auto end = at + size; at < end; ++at) groups.of[order[at]] = groups.count;
    ++groups.count;
  }
  return groups;
}

}  // namespace gembench::inline loads
