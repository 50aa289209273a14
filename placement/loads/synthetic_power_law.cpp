#include "placement/loads/synthetic_power_law.hpp"

#include <cmath>
#include <vector>

#include "placement/loads/draws.hpp"

namespace gembench::inline loads {
namespace {

/// A draw from x^-alpha on [low, high]. In y = ln(x / low) the density is exp(slope y / width).
double draw_load(Random& random, double alpha, double low, double high) {
  const double width = logarithm(high / low);
  const double slope = (1 - alpha) * width;
  const double u = random.uniform();
  const double at =
      std::abs(slope) < 1e-6 ? u : logarithm(1 + u * (exponential(slope) - 1)) / slope;
  return low * exponential(at * width);
}

}  // namespace

void fill_power_law(Trace& trace, const SyntheticSpec& spec, const PowerLawParameters& parameters) {
  const auto choices = std::int64_t{spec.tokens} * spec.topk;
  const bool many = choices > spec.experts;
  const double low = many ? 1 : 0.01;
  const double high = many ? 0.8 * spec.tokens : 2;
  std::vector<double> load(static_cast<std::size_t>(spec.experts));
  std::vector<double> weight(load.size());
  std::vector<double> share(load.size());
  for (int layer = 0; layer < spec.layers; ++layer) {
    Random random(fold(fold(spec.seed, 0x90e41a), static_cast<std::uint64_t>(layer)));
    for (auto& value : load) value = draw_load(random, parameters.alpha, low, high);
    for (int step = 0; step < spec.steps; ++step) {
      const auto counts = trace.loads(step, layer);
      if (parameters.alpha == 0) {
        deal_evenly(counts, choices, layer + step * (choices % spec.experts));
        continue;
      }
      weight = load;
      draw_counts(weight, share, spec.topk, spec.tokens, counts, random);
    }
  }
}

}  // namespace gembench::inline loads
