#include "placement/loads/power_law_fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace gembench::inline loads {
namespace {

constexpr std::int64_t kLeastTokens = 10;
constexpr std::size_t kLeftOut = 10;  // one in so many
constexpr std::size_t kLeastExperts = 8;
constexpr double kLargestError = 0.5;
constexpr double kMostAlpha = 50;  // of the search: beyond it nothing is measured

/// Logarithms of a layer's loads over its least one, between the least and the largest.
struct LayerLoads {
  double width = 0;  ///< of the largest
  std::vector<double> inner;
};

LayerLoads loads_of_layer(const Trace& trace, int layer) {
  std::vector<std::int64_t> sums(static_cast<std::size_t>(trace.experts), 0);
  std::int64_t all_tokens = 0;
  for (int step = 0; step < trace.steps; ++step) {
    const auto loads = trace.loads(step, layer);
    for (std::size_t e = 0; e < sums.size(); ++e) sums[e] += loads[e];
    all_tokens += trace.tokens_in_step(step);
  }
  std::erase_if(sums, [&](std::int64_t n) { return n < kLeastTokens || n >= all_tokens; });
  LayerLoads result;
  if (sums.size() < 3) return result;
  std::sort(sums.begin(), sums.end());
  sums.erase(sums.begin(), sums.begin() + static_cast<std::ptrdiff_t>(sums.size() / kLeftOut));
  const auto least = static_cast<double>(sums.front());
  result.width = std::log(static_cast<double>(sums.back()) / least);
  if (result.width <= 0) return result;
  for (std::size_t i = 1; i + 1 < sums.size(); ++i)
    result.inner.push_back(std::log(static_cast<double>(sums[i]) / least));
  return result;
}

// Of the density ~ exp(slope v) on [0, 1]; slope = (1 - alpha) * width.

double mean_of(double slope) {
  if (std::abs(slope) < 1e-3) return 0.5 + slope / 12;
  return -1 / std::expm1(-slope) - 1 / slope;
}

double variance_of(double slope) {
  if (std::abs(slope) < 1e-2) return 1.0 / 12 - slope * slope / 240;
  const double s = std::sinh(slope / 2);
  return 1 / (slope * slope) - 1 / (4 * s * s);
}

double share_below(double v, double slope) {
  if (std::abs(slope) < 1e-6) return v;
  // Of growing densities from the other end, so that nothing overflows.
  if (slope > 0) return 1 - share_below(1 - v, -slope);
  return std::expm1(slope * v) / std::expm1(slope);
}

/// Derivative of the log likelihood by -alpha: falls as alpha falls.
double derivative(const std::vector<LayerLoads>& layers, double alpha) {
  double sum = 0;
  for (const auto& layer : layers)
    for (const double y : layer.inner) sum += layer.width * mean_of((1 - alpha) * layer.width) - y;
  return sum;
}

/// The largest difference to a uniform distribution.
double uniform_distance(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    distance = std::max({distance, values[i] - static_cast<double>(i) / n,
                         static_cast<double>(i + 1) / n - values[i]});
  return distance;
}

}  // namespace

std::optional<PowerLawFit> fit_power_law(const Trace& trace) {
  std::vector<LayerLoads> layers;
  std::size_t used = 0;
  for (int layer = 0; layer < trace.layers; ++layer) {
    layers.push_back(loads_of_layer(trace, layer));
    used += layers.back().inner.size();
  }
  if (used < kLeastExperts) return std::nullopt;
  double low = -kMostAlpha;
  double high = kMostAlpha;
  for (int i = 0; i < 60; ++i) {  // bisection: the derivative falls with alpha
    const double middle = (low + high) / 2;
    (derivative(layers, middle) > 0 ? low : high) = middle;
  }
  PowerLawFit fit;
  fit.alpha = (low + high) / 2;
  double information = 0;
  std::vector<double> shares;
  for (const auto& layer : layers) {
    const double slope = (1 - fit.alpha) * layer.width;
    information +=
        static_cast<double>(layer.inner.size()) * layer.width * layer.width * variance_of(slope);
    for (const double y : layer.inner) shares.push_back(share_below(y / layer.width, slope));
  }
  fit.error = 1 / std::sqrt(information);
  if (!(fit.error <= kLargestError)) return std::nullopt;
  fit.experts = static_cast<int>(used);
  fit.distance = uniform_distance(std::move(shares));
  fit.by_chance = 1.36 / std::sqrt(static_cast<double>(used));
  return fit;
}

}  // namespace gembench::inline loads
