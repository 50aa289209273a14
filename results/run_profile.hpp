#pragma once

#include "placement/speeds/profile.hpp"
#include "results/hdf5/hdf5.hpp"

/// The profile in results.h5, for writer and reader.
namespace gembench::inline results {

/// Writes a valid profile, and makes room for the one taken again after the run.
void add_profile(h5::File& file, const Profile& profile);
/// Of that many ranks; ranks = 0 where the file has none.
[[nodiscard]] Profile read_profile_of(const h5::File& file, int ranks);

/// Its routed loads, if it has any, under these names, and how far both cost models are off them.
void add_routed(h5::File& file, const Profile& profile, const h5::Variable& latency,
                const h5::Variable& tokens);
/// Into a profile whose ranks and slots are known; nothing where the file has none.
void read_routed(const h5::File& file, const h5::Variable& latency, const h5::Variable& tokens,
                 Profile& profile);

/// The root's attribute of that name, which files may lack; 0 then.
[[nodiscard]] int read_count(const h5::File& file, std::string_view name);

}  // namespace gembench::inline results
