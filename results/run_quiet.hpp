#pragma once

#include "results/hdf5/hdf5.hpp"
#include "results/run_file.hpp"

/// The group quiet of results.h5.
namespace gembench::inline results {

/// Creates all datasets, filled with NaN.
void add_quiet(h5::File& file, std::uint64_t ranks);
void put_quiet(h5::File& file, const QuietState& state, bool after);
void put_quiet(h5::File& file, const std::vector<QuietUse>& uses);
/// Without ranks if the file has no such group (before 2.5.0).
[[nodiscard]] QuietState read_quiet(const h5::File& file, std::uint64_t ranks, bool after);
[[nodiscard]] std::vector<QuietUse> read_quiet_uses(const h5::File& file, std::uint64_t ranks);

}  // namespace gembench::inline results
