#pragma once

#include <cstdint>
#include <vector>

namespace gembench::inline base {

/// Max over mean; 1 if all are zero. The only definition of imbalance.
[[nodiscard]] double imbalance(const std::vector<std::int64_t>& loads);

/// Value at quantile q in [0, 1] by linear interpolation between order statistics (NumPy's
/// default). `values` need not be sorted. NaN for no values.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace gembench::inline base
