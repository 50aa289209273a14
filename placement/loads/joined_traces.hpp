#pragma once

#include <span>
#include <string>
#include <vector>

#include "placement/loads/trace.hpp"

namespace gembench::inline loads {

/// Makes traces of one model alike, so that their steps can follow one another in one trace: layers
/// are numbered in all or in none, and labels, ids and loads by source are left out unless all have
/// them (ids also need equally many tokens in every step, loads by source as many ranks). Each gets
/// the `source` of the whole and the sum of their requests, 0 if one is unknown. Usage error naming
/// two of them, by `names`, if layers, experts, top-k or the layers of the model differ. Returns
/// what was left out.
std::vector<std::string> make_alike(std::span<Trace> traces, std::span<const std::string> names);

/// The steps of `first`, then those of `then`, made alike.
[[nodiscard]] Trace joined(Trace first, Trace then);

}  // namespace gembench::inline loads
