#pragma once

#include <optional>

#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// A power law fitted to the loads of experts: their density falls as load^-alpha, the alpha of
/// AIConfigurator (synthetic_power_law.hpp). It is not the exponent of Zipf's law over ranks.
struct PowerLawFit {
  double alpha = 0;
  double error = 0;  ///< standard error of alpha
  /// Kolmogorov and Smirnov's: the largest difference between the share of experts up to a load and
  /// the law's. A law that holds exceeds `by_chance` in less than 5 % of traces.
  double distance = 0;
  double by_chance = 0;
  int experts = 0;  ///< (layer, expert) that were used
};

/// Fits one alpha to all layers by maximum likelihood, from loads summed over steps. Only the shape
/// counts: a layer's loads may have any scale. Its least and its largest load stand for the ends of
/// its range, which nobody knows; given them, those between are independent draws from the law cut
/// there, so its likelihood needs no correction. Left out: experts that get every token, where the
/// law is cut off by routing, those with fewer than 10 tokens, which are mostly noise, and the
/// lowest tenth of the others, where noise smears the law's end (it pulled an alpha of 2 down by
/// 0.2). So alphas of 0.6 to 2.6 were found within 0.03 in the mean of 25 traces (0.3: within
/// 0.04), and scattered as `error` says. None where fewer than 8 experts remain or the standard
/// error exceeds 0.5: loads are so even then that any alpha fits. The method is ours. The trace
/// must be valid.
[[nodiscard]] std::optional<PowerLawFit> fit_power_law(const Trace& trace);

}  // namespace gembench::inline loads
