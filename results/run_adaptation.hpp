#pragma once

#include <vector>

#include "results/hdf5/hdf5.hpp"
#include "results/run_file.hpp"

/// What the group segments of results.h5 has besides where placements change while they are
/// measured.
namespace gembench::inline results {

/// Room for every segment's placement and for what changed after it.
void add_adaptation(h5::File& file, const RunShape& shape);
/// A segment's part.
void put_adaptation(h5::File& file, const RunShape& shape, const SegmentRecord& block);
/// [segment] what changed after it; empty where none does.
[[nodiscard]] std::vector<ReplanRecord> read_replans(const h5::File& file, const RunShape& shape);
/// [layer][rank][slot] of a segment; empty where none does.
[[nodiscard]] std::vector<std::int32_t> read_segment_slots(const h5::File& file,
                                                           const RunShape& shape, int segment);

}  // namespace gembench::inline results
