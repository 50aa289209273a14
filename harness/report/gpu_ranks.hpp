#pragma once

#include <vector>

#include "results/run_file.hpp"

namespace gembench::inline report {

/// The first rank of every GPU, ascending: ranks that share a GPU read the same state. A rank whose
/// GPU is not known counts as having its own.
[[nodiscard]] std::vector<int> first_ranks_of_gpus(const RunInfo& info);

}  // namespace gembench::inline report
