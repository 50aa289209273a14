#pragma once

#include <filesystem>

#include "placement/trace.hpp"

namespace gembench {

/// trace.h5: tokens(step, layer, expert) int32, optionally topk_ids(step, token, layer, k) uint16
/// and task(step) int32, attributes schema "gembench-trace", schema_version "1.1.0", topk, source.
/// Written to a temporary name and renamed. Output error for an existing file unless `overwrite`.
void write_trace(const std::filesystem::path& path, const Trace& trace, bool overwrite);

/// Reads and validates; sizes are checked before anything is allocated; usage error for a foreign,
/// truncated or inconsistent file.
[[nodiscard]] Trace read_trace(const std::filesystem::path& path);

}  // namespace gembench
