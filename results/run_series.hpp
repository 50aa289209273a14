#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "results/hdf5/hdf5.hpp"
#include "results/state_sample.hpp"
#include "results/thinned_rows.hpp"

/// The group series of results.h5 and profile.h5: readings of the ranks' GPUs over time.
namespace gembench::inline results {

inline constexpr std::uint64_t kSeriesRows = 16384;          ///< of a rank, at most
inline constexpr std::uint64_t kSeriesBytes = 256ULL << 20;  ///< of all ranks, at most
inline constexpr std::uint64_t kMostSeriesRows = 1 << 17;    ///< of a rank, that are read

/// Rows for each of so many ranks; even.
[[nodiscard]] std::uint64_t series_rows(std::uint64_t ranks);
/// Bytes of the whole group.
[[nodiscard]] std::uint64_t series_bytes(std::uint64_t ranks);

/// Samples with neighbouring rows.
struct SeriesStretch {
  std::size_t rank = 0, row = 0;
  std::vector<StateSample> samples;
};

/// Writes series into a results.h5 in which there is room for them, some samples at a time. A row
/// counts from the moment when its time is in the file.
class SeriesWriter {
 public:
  /// Creates the group, with nothing in it. Borrows the file.
  SeriesWriter(h5::File& file, std::uint64_t ranks);
  /// Samples of a rank, in their order; kept in memory for now.
  void add(std::size_t rank, std::span<const StateSample> samples);
  /// The samples so far are those of an earlier file, with its stride.
  void go_on_with(std::uint64_t stride);
  /// Whether samples of a second or more wait in memory.
  [[nodiscard]] bool due() const;
  /// Writes what waits, except for its times; flush() the file before write_times().
  void write_values();
  void write_times();

 private:
  h5::File& file_;
  std::vector<ThinnedRows> rows_;       // [rank]
  std::uint64_t stride_ = 1;            // largest of a rank, as the file has it
  std::vector<SeriesStretch> waiting_;  // until write_times()
  double first_ = 0, last_ = 0;         // times of rank 0's that wait
  bool any_ = false, stale_ = false;    // stale: some rows to be written hold older samples
};

/// Creates the group with all samples at once, compressed; [rank].
void add_series(h5::File& file, const std::vector<std::vector<StateSample>>& samples);

/// Reads series a rank at a time: those of all may be large.
class SeriesReader {
 public:
  /// Checks types, extents, and that the file is large enough. Borrows the file.
  SeriesReader(const h5::File& file, std::uint64_t ranks);
  /// In order of job and time; empty where none are stored.
  [[nodiscard]] std::vector<StateSample> of(std::uint64_t rank) const;
  /// Of so many newest readings one was kept; 1 where nothing says so.
  [[nodiscard]] std::uint64_t stride() const { return stride_; }

 private:
  const h5::File& file_;
  std::uint64_t rows_ = 0, stride_ = 1;  // rows of a rank
};

}  // namespace gembench::inline results
