#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "placement/files/output_owner.hpp"
#include "results/run_file.hpp"
#include "results/run_summary.hpp"

namespace gembench::inline results {

class RunReader;

/// Writes results.h5 segment by segment to `PATH.partial`, which is laid out in full before the
/// first segment, flushed after every segment and renamed at the end. So a run that is killed at
/// any moment leaves all finished segments readable, and a disk that is too small is noticed before
/// anything is measured. One process writes. Errors are output errors naming path and reason.
class RunWriter {
 public:
  /// Creates `PATH.partial.new` immediately, so that a bad path fails before any work is done.
  /// Rejects an existing PATH or PATH.partial unless `overwrite`.
  RunWriter(OutputOwner owner, bool overwrite);
  RunWriter(const std::filesystem::path& path, bool overwrite);  ///< and owns it from now on
  /// Continues an unfinished file: copies the finished segments of `earlier`, which reads
  /// `PATH.partial`, to a new file (PATH.partial.new), which then replaces it. `facts` are added to
  /// the file's or replace them. An existing PATH is an error at the end unless `overwrite`.
  RunWriter(OutputOwner owner, const RunReader& earlier,
            const std::map<std::string, std::string>& facts, bool overwrite);
  RunWriter(const std::filesystem::path& path, const RunReader& earlier,
            const std::map<std::string, std::string>& facts);
  ~RunWriter();  ///< closes; after describe() leaves PATH.partial unless finished
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  /// Once, before the first segment: creates all datasets, filled with NaN or -1.
  void describe(const RunInfo& info);
  void write(const SegmentRecord& block);
  /// Writes the result of a check for a segment written before.
  void write_check(int segment, const SegmentNotes& notes);
  /// How devices were soaked before the steps and before the profile, without what was not steady:
  /// a text needs new space in the file, and is written by finish().
  void write_soaks(const SoakRecord& soak, const SoakRecord& soak_profile);
  /// Computes the summary of what was written.
  using Summarise = std::function<RunSummary(const RunReader&)>;
  /// The summary of what was written so far, of a run that ends early.
  void summarise(const Summarise& reduce);
  /// Writes the final results, with the summary if `reduce` is given, sets `completed`, closes and
  /// renames to PATH.
  void finish(const RunEnd& end, const Summarise& reduce = {});

 private:
  void lay_out(const RunInfo& info);
  void put_summary_of(const Summarise& reduce, bool ended);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gembench::inline results
