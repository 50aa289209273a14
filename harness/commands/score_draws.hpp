#pragma once

#include <functional>
#include <vector>

#include "harness/commands/plan_problem.hpp"

namespace gembench::inline commands {

/// Plans (as `again` says: anew, or as before) and judges all placements.
using JudgeAll = std::function<std::vector<JudgedPlacement>(const Problem& problem,
                                                            const Costs& costs, bool again)>;

/// --draws: what the rows' differences to the first one may be. As `advise` does, every draw is one
/// of successive blocks of the judged steps; drawn slowdowns are drawn again for each and planned
/// for, and the errors that a measured profile may have widen the interval. Usage error if there
/// are fewer judged steps or requests than draws, or nothing to compare.
void add_draws(const ScoreCommand& options, Problem& problem, const JudgeAll& judge_all,
               std::vector<JudgedPlacement>& rows);

}  // namespace gembench::inline commands
