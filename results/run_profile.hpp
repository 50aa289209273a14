#pragma once

#include "placement/speeds/profile.hpp"
#include "results/hdf5/hdf5.hpp"

/// The profile in results.h5, for writer and reader.
namespace gembench::inline results {

/// Writes a valid profile, and creates the datasets for the one measured again after the run.
void add_profile(h5::File& file, const Profile& profile);
/// Reads a profile of that many ranks; ranks = 0 if the file has none.
[[nodiscard]] Profile read_profile_of(const h5::File& file, int ranks);

/// Its routed loads, if it has any, under these names, and how far both cost models are off them.
void add_routed(h5::File& file, const Profile& profile, const h5::Variable& latency,
                const h5::Variable& tokens);
/// Reads them into a profile whose ranks and slots are known; does nothing if the file has none.
void read_routed(const h5::File& file, const h5::Variable& latency, const h5::Variable& tokens,
                 Profile& profile);

/// The root's attribute of that name; 0 if the file lacks it.
[[nodiscard]] int read_count(const h5::File& file, std::string_view name);

}  // namespace gembench::inline results
