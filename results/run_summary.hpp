#pragma once

#include <array>
#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "results/quantities.hpp"

/// The group summary of results.h5: the numbers of `compare`, for readers that do not compute them
/// again.
namespace gembench::inline results {

inline constexpr std::string_view kSummarySchema = "gembench-summary";

/// A placement's step time against another's, as fractions; NaN = not known.
struct StoredDifference {
  double typical = NAN, low = NAN, high = NAN, mean = NAN, blocks = NAN;
};

/// NaN = not known.
struct RunSummary {
  std::array<std::vector<double>, kSummaries.size()> values, low, high;  ///< [placement]
  std::vector<double> last_share;                                        ///< [placement][rank]
  std::vector<StoredDifference> differences;                             ///< [against][placement]
  /// J of all GPUs from the first measured step to the last, for a token and for an assignment.
  double run_energy_per_token = NAN, run_energy_per_assignment = NAN;
};

/// Creates its datasets, for this number of placements and ranks.
void add_summary(h5::File& file, const std::vector<std::string>& labels, std::uint64_t ranks);
/// Writes it; its sizes must match the datasets. A summary exists only if it is complete.
void put_summary(h5::File& file, const RunSummary& summary);
/// None: the file has no datasets for it (before 2.7.0) or it was not written. Numbers missing in
/// an earlier minor version are NaN; types and extents that differ from the schema are an error.
[[nodiscard]] std::optional<RunSummary> read_summary(const h5::File& file, std::uint64_t placements,
                                                     std::uint64_t ranks);

/// Writes a separate file with /summary and the scales that it needs.
void write_summary(const std::filesystem::path& path, const std::vector<std::string>& labels,
                   std::uint64_t ranks, const RunSummary& summary);

}  // namespace gembench::inline results
