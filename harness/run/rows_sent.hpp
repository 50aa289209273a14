#pragma once

#include <cstdint>
#include <vector>

#include "harness/run/session.hpp"

namespace gembench::inline run {

/// [layer][destination] rows that this rank sent in a measured step, forwarded ones too: computed
/// from the routing, for steps of an earlier job. Equal to the counts of MoeLayers::rows_to().
[[nodiscard]] std::vector<std::int64_t> rows_sent(const Session& session, int step,
                                                  const Placement& placement,
                                                  const SplitSpec& splitting);

}  // namespace gembench::inline run
