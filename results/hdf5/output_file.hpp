#pragma once

#include <filesystem>
#include <utility>

#include "placement/files/output_owner.hpp"
#include "results/hdf5/hdf5.hpp"

namespace gembench::inline hdf5 {

/// A file that appears under its name only when it is complete: written as `PATH.partial`, renamed
/// by commit(). It owns its name. Errors are output errors.
class OutputFile {
 public:
  enum class Existing {
    refuse,
    replace,  ///< PATH at commit(), an old PATH.partial at publish()
    resume    ///< an old PATH.partial is replaced at publish(), an existing PATH is an error
  };
  enum class Partial {
    keep,    ///< written as PATH.partial.new until publish(); from then on an unfinished one stays
    discard  ///< an old PATH.partial is replaced, an unfinished one removed
  };
  OutputFile(OutputOwner owner, Existing existing, Partial partial);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] h5::File& file() { return file_; }
  /// `Partial::keep`: the unfinished file now holds data that must not be lost; it becomes
  /// PATH.partial.
  void publish();
  void commit();
  /// Error if someone has deleted or replaced the unfinished file: further writes would be lost,
  /// and another's file must not be renamed.
  void require_there() const;

 private:
  [[nodiscard]] const std::filesystem::path& path() const { return owner_.path(); }

  OutputOwner owner_;
  std::filesystem::path working_path_;  ///< where the unfinished file lies now
  Existing existing_;
  Partial partial_;
  bool committed_ = false;
  h5::File file_;
};

/// Output error, with the remedies, for files that OutputFile would not replace.
void require_free(const std::filesystem::path& path, OutputFile::Existing existing,
                  OutputFile::Partial partial);

}  // namespace gembench::inline hdf5
