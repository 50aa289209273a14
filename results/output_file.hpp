#pragma once

#include <filesystem>
#include <utility>

#include "results/hdf5.hpp"

namespace gembench {

/// A file that appears under its name only when it is whole: written as `PATH.partial`, renamed by
/// commit(). Errors are output errors.
class OutputFile {
 public:
  enum class Partial {
    keep,    ///< an old one is refused like PATH itself, an unfinished one stays if worth_keeping()
    discard  ///< an old one is replaced, an unfinished one removed
  };
  OutputFile(std::filesystem::path path, bool overwrite, Partial partial);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] h5::File& file() { return file_; }
  /// From now on the unfinished file holds something that must not be lost.
  void worth_keeping() { worth_keeping_ = true; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path partial_path_;
  bool overwrite_;
  Partial partial_;
  bool worth_keeping_ = false;
  bool committed_ = false;
  h5::File file_;
};

}  // namespace gembench
