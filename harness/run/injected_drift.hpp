#pragma once

#include <cstdint>
#include <vector>

#include "harness/cli/drift_option.hpp"
#include "placement/loads/trace.hpp"

namespace gembench::inline run {

/// The slowdown of every rank at a measured step, [rank].
[[nodiscard]] std::vector<double> slowdown_at(const std::vector<double>& slowdown,
                                              const std::vector<InjectedDrift>& drifts, int step);
/// Permutes experts in the steps after every `task`, equally in counts and ids. Depends on seed and
/// layer; the skew of the loads stays the same.
void change_tasks(Trace& measured, const std::vector<InjectedDrift>& drifts, std::uint64_t seed);

}  // namespace gembench::inline run
