#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "results/run_file.hpp"
#include "results/run_summary.hpp"

namespace gembench::inline results {

/// Reads results.h5 (a finished file or a `.partial`). Sizes are checked against the file before
/// anything is allocated; a foreign, truncated or inconsistent file, or another major schema
/// version, is a usage error in one sentence.
class RunReader {
 public:
  explicit RunReader(const std::filesystem::path& path);
  ~RunReader();
  RunReader(const RunReader&) = delete;
  RunReader& operator=(const RunReader&) = delete;

  [[nodiscard]] const RunInfo& info() const;
  [[nodiscard]] bool completed() const;
  /// Empty values for a file that was not completed.
  [[nodiscard]] const RunEnd& end() const;
  /// [segment] what happened between the steps.
  [[nodiscard]] const std::vector<SegmentNotes>& notes() const;
  /// Whether the file has all steps of a segment.
  [[nodiscard]] bool measured(int segment) const;
  /// A segment as it was written.
  [[nodiscard]] SegmentRecord read_segment(int segment) const;
  /// [step] block index of a placement's steps; -1 = not measured.
  [[nodiscard]] std::vector<std::int64_t> blocks(int placement) const;
  /// Any range of steps of one placement, without notes; the result's block is that of the first.
  [[nodiscard]] SegmentRecord read(int placement, int first_step, int steps) const;
  /// Readings of a rank's GPU, in order of job and time; empty where none are stored. Reads them
  /// now.
  [[nodiscard]] std::vector<StateSample> series(int rank) const;
  /// Of so many of the newest readings the file has one.
  [[nodiscard]] std::uint64_t series_stride() const;
  /// The stored summary of `compare`, if there is one.
  [[nodiscard]] const std::optional<RunSummary>& summary() const;

 private:
  friend class RunWriter;
  /// What was written so far, including `end` if it `ended`. Borrows the file.
  RunReader(const h5::File& written, bool ended);

  struct State;
  std::unique_ptr<State> state_;
};

/// The progress of a results.h5.
struct RunProgress {
  bool laid_out = false;   ///< it has room for every segment, and can be read
  bool completed = false;  ///< every segment is there
};
/// Usage error where it is no results.h5.
[[nodiscard]] RunProgress progress_of_run(const std::filesystem::path& path);

/// Only the options of a run, JSON; of any results.h5 whose `config` can be read.
[[nodiscard]] std::string read_run_config(const std::filesystem::path& path);

}  // namespace gembench::inline results
