#pragma once

#include <filesystem>
#include <utility>

#include "results/hdf5.hpp"

namespace gembench {

/// A file that appears under its name only when it is whole: written as `PATH.partial`, renamed by
/// commit(). Errors are output errors.
class OutputFile {
 public:
  enum class Existing {
    refuse,
    replace,  ///< of PATH at commit(), of PATH.partial at once
    resume    ///< PATH.partial is kept until replace_partial(); PATH is refused
  };
  enum class Partial {
    keep,    ///< an old one is refused like PATH itself, an unfinished one stays if worth_keeping()
    discard  ///< an old one is replaced, an unfinished one removed
  };
  OutputFile(std::filesystem::path path, Existing existing, Partial partial);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] h5::File& file() { return file_; }
  /// From now on the unfinished file holds something that must not be lost.
  void worth_keeping() { worth_keeping_ = true; }
  /// Resuming: the new file holds all that PATH.partial held, and takes its place.
  void replace_partial();
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path working_path_;  ///< where the unfinished file lies now
  Existing existing_;
  Partial partial_;
  bool worth_keeping_ = false;
  bool committed_ = false;
  h5::File file_;
};

}  // namespace gembench
