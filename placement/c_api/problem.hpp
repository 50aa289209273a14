#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "placement/c_api/planner.h"
#include "placement/cost/placement.hpp"
#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline c_api {

/// A gembench_problem, checked and in the planner's own terms. Dead ranks are left out: rank i here
/// is the caller's rank alive[i].
struct Problem {
  gembench_problem given = {};        ///< fields that the caller does not know are zero
  Trace trace;                        ///< steps with tokens; at least one
  std::vector<std::int32_t> alive;    ///< the caller's ranks, ascending
  std::optional<CostModel> cost;      ///< of the live ranks; always there
  std::optional<Placement> previous;  ///< without second slots of an expert on a rank; experts may
                                      ///< be missing
  [[nodiscard]] int ranks() const { return static_cast<int>(alive.size()); }
  [[nodiscard]] bool has_dead() const { return ranks() < given.ranks; }
};

/// Usage error for null pointers, sizes out of range or beyond memory, negative loads, speeds that
/// are no numbers from 0, tables that validate(Profile) refuses, too few slots on live ranks, and a
/// previous map with unknown experts.
[[nodiscard]] Problem read_problem(const gembench_problem* problem);

/// `placement` of the live ranks as the caller's map [layer][rank][slot].
void write_map(const Problem& problem, const Placement& placement, std::int64_t* map);

}  // namespace gembench::inline c_api
