#pragma once

#include <filesystem>
#include <memory>

#include "results/run_file.hpp"

namespace gembench {

/// Writes results.h5 block by block to `PATH.partial`, which is flushed after every block and
/// renamed at the end, so that a killed run leaves all finished blocks readable. Serial: one
/// process writes. Errors are output errors naming path and reason.
class RunWriter {
 public:
  /// Creates `PATH.partial` right away, so that a bad path fails before any work is done. Refuses
  /// an existing PATH or PATH.partial unless `overwrite`.
  RunWriter(std::filesystem::path path, bool overwrite);
  ~RunWriter();  ///< closes; after describe() leaves PATH.partial unless finished
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  /// Once, before the first block: creates all datasets, filled with NaN or -1.
  void describe(const RunInfo& info);
  void write(const Block& block);
  /// Writes what is known at the end, sets `completed`, closes and renames to PATH.
  void finish(const RunEnd& end);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gembench
