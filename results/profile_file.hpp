#pragma once

#include <filesystem>

#include "placement/profile.hpp"

namespace gembench {

/// profile.h5: latency(rank, knot), spread(rank, knot), overhead(rank), slowdown(rank) float64 in
/// seconds (slowdown in 1), knot(knot) int64, the loads, attributes schema "gembench-profile",
/// schema_version "1.0.0", model, device, clock. Written to a temporary name and renamed. Output
/// error for an existing file unless `overwrite`.
void write_profile(const std::filesystem::path& path, const Profile& profile, bool overwrite);

/// Reads and validates; usage error for a foreign, truncated or inconsistent file.
[[nodiscard]] Profile read_profile(const std::filesystem::path& path);

}  // namespace gembench
