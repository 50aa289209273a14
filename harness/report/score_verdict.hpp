#pragma once

#include <vector>

#include "harness/report/score_report.hpp"

namespace gembench::inline report {

/// Which of the rows that are forecasts is predicted to take least time, and by how much against
/// the first row: with its interval over draws, or with what it rests on where there are none.
[[nodiscard]] ScoreVerdict score_verdict(const ScoreContext& context,
                                         const std::vector<JudgedPlacement>& rows);

}  // namespace gembench::inline report
