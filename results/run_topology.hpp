#pragma once

#include <vector>

#include "results/hdf5/hdf5.hpp"
#include "results/run_file.hpp"

/// The group topology of results.h5, for the writer.
namespace gembench::inline results {

/// Writes where ranks ran, [rank], and creates the datasets for their clocks.
void add_topology(h5::File& file, const std::vector<NodePlace>& places);
/// Offset and error of every rank's clock, [rank].
void put_clocks(h5::File& file, const std::vector<ClockReading>& clocks, bool after);

}  // namespace gembench::inline results
