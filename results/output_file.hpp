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
    replace,  ///< PATH at commit(), an old PATH.partial at publish()
    resume    ///< an old PATH.partial is replaced at publish(), PATH is refused
  };
  enum class Partial {
    keep,    ///< written as PATH.partial.new until publish(); from then on an unfinished one stays
    discard  ///< an old PATH.partial is replaced, an unfinished one removed
  };
  OutputFile(std::filesystem::path path, Existing existing, Partial partial);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] h5::File& file() { return file_; }
  /// `Partial::keep`: the unfinished file now holds what must not be lost; it becomes PATH.partial.
  void publish();
  void commit();
  /// Refuses to go on when someone has deleted the unfinished file: what is written would be lost.
  void require_there() const;

 private:
  std::filesystem::path path_;
  std::filesystem::path working_path_;  ///< where the unfinished file lies now
  Existing existing_;
  Partial partial_;
  bool committed_ = false;
  h5::File file_;
};

}  // namespace gembench
