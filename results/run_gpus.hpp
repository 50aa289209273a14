#pragma once

#include <vector>

#include "results/hdf5/hdf5.hpp"
#include "results/run_file.hpp"

/// The group gpu of results.h5.
namespace gembench::inline results {

/// Creates the datasets for the GPUs' state before and after the run and for the times by their
/// events. `cells`: placements, steps, layers, ranks.
void add_gpus(h5::File& file, const h5::Extents& cells);
/// Writes their state, [rank].
void put_gpus(h5::File& file, const std::vector<GpuReading>& readings, bool after);
/// Writes how they were while steps were measured, [rank], where the file has room for it.
void put_gpus(h5::File& file, const std::vector<GpuUse>& uses);
/// Empty where it is not stored.
std::vector<GpuUse> read_gpu_uses(const h5::File& file, std::uint64_t ranks);

}  // namespace gembench::inline results
