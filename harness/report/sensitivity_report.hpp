#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/score_report.hpp"

namespace gembench::inline report {

/// A strategy at one imbalance of loads and one spread of speeds, over draws of both.
struct SensitivityRow {
  std::string strategy;
  double alpha = 0;                 ///< of the power law of loads
  double spread = 0;                ///< slowest over fastest rank, minus 1
  double step_mean = 0;             ///< s, predicted, mean over draws
  std::optional<double> change;     ///< of step time against the first strategy (-0.05: 5 % less),
                                    ///< mean over draws; none: it is the first
  std::optional<double> low, high;  ///< 95 % interval of `change`; none with one draw
};

/// Mean over draws of the step times in `own`, [draw], and of their differences to `reference`,
/// with Student's interval: draws are independent. No reference: the row is the reference.
[[nodiscard]] SensitivityRow sensitivity_row(std::string strategy, double alpha, double spread,
                                             const std::vector<double>& own,
                                             const std::vector<double>* reference);

/// What the rows have in common.
struct SensitivityContext {
  ScoreContext score;  ///< of the first draw; its `trace` says what the loads are
  int draws = 0;
};

/// In the format of the options: table, csv or json. Seconds and fractions of 1 in the latter two.
[[nodiscard]] std::string sensitivity_report(const SensitivityContext& context,
                                             const std::vector<SensitivityRow>& rows,
                                             const std::string& format);

}  // namespace gembench::inline report
