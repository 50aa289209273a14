#pragma once

#include <cstdint>

#include "placement/c_api/problem.hpp"

namespace gembench::inline c_api {

/// gembench_judge(). Apart from score(), since engines' own maps may hold an expert twice on a rank
/// and split its tokens over slots, not over ranks. Usage error for null pointers and experts
/// without a slot on a live rank.
void judge(const Problem& problem, const std::int64_t* map, gembench_score* score);

}  // namespace gembench::inline c_api
