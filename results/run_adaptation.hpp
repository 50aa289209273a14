#pragma once

#include <vector>

#include "results/hdf5/hdf5.hpp"
#include "results/run_file.hpp"

/// Additional parts of the group segments in results.h5 for placements that change during the run.
namespace gembench::inline results {

/// Creates the datasets for every segment's placement and for the changes after it.
void add_adaptation(h5::File& file, const RunShape& shape);
/// A segment's part.
void put_adaptation(h5::File& file, const RunShape& shape, const SegmentRecord& block);
/// [segment] the change after it; empty if no placement changes.
[[nodiscard]] std::vector<ReplanRecord> read_replans(const h5::File& file, const RunShape& shape);
/// [layer][rank][slot] of a segment; empty where none does.
[[nodiscard]] std::vector<std::int32_t> read_segment_slots(const h5::File& file,
                                                           const RunShape& shape, int segment);

}  // namespace gembench::inline results
