#pragma once

#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "results/quantities.hpp"

/// The group summary of results.h5: what `compare` says of it, for readers that do not compute it
/// again.
namespace gembench::inline results {

/// A placement's step time against another's, as fractions; NaN = not known.
struct StoredDifference {
  double typical = NAN, low = NAN, high = NAN, mean = NAN, blocks = NAN;
};

/// NaN = not known.
struct RunSummary {
  std::array<std::vector<double>, kSummaries.size()> values, low, high;  ///< [placement]
  std::vector<double> last_share;                                        ///< [placement][rank]
  std::vector<StoredDifference> differences;                             ///< [against][placement]
};

/// Room for it, for so many placements and ranks.
void add_summary(h5::File& file, const std::vector<std::string>& labels, std::uint64_t ranks);
/// Its sizes must be those of the room. A summary is there when it is there whole.
void put_summary(h5::File& file, const RunSummary& summary);
/// None: the file has no room for it (before 2.7.0) or it was not written. Numbers that it lacks,
/// being of an earlier minor version, are NaN; other types and extents than the schema's are
/// refused.
[[nodiscard]] std::optional<RunSummary> read_summary(const h5::File& file, std::uint64_t placements,
                                                     std::uint64_t ranks);

/// A file of its own, which holds /summary and the scales that it needs.
void write_summary(const std::filesystem::path& path, const std::vector<std::string>& labels,
                   std::uint64_t ranks, const RunSummary& summary);

}  // namespace gembench::inline results
