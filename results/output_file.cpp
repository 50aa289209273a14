#include "results/output_file.hpp"

#include <fmt/format.h>

#include <system_error>

namespace gembench {
namespace fs = std::filesystem;
namespace {

Error output_error(const fs::path& path, const std::string& reason) {
  return Error(ExitCode::output, fmt::format("cannot write {}: {}", path.string(), reason));
}

fs::path partial_of(fs::path path) {
  return path += ".partial";
}

void refuse_existing(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(path, ignored))) {
    throw Error(ExitCode::output, fmt::format("{} exists: pass --overwrite or choose another "
                                              "--output",
                                              path.string()));
  }
}

/// Makes way for the new file; what is wrong with the path shows now and not after hours.
h5::File open_partial(const fs::path& path, bool overwrite, OutputFile::Partial partial) {
  const auto partial_path = partial_of(path);
  std::error_code error;
  if (fs::is_directory(path, error)) throw output_error(path, "it is a folder");
  if (!overwrite) refuse_existing(path);
  if (!overwrite && partial == OutputFile::Partial::keep) refuse_existing(partial_path);
  // Removed, not truncated: another run that still writes it keeps its own file.
  fs::remove(partial_path, error);
  if (error && error != std::errc::not_a_directory)
    throw output_error(partial_path, error.message());
  return h5::File::create(partial_path);
}

}  // namespace

OutputFile::OutputFile(fs::path path, bool overwrite, Partial partial)
    : path_(std::move(path)),
      partial_path_(partial_of(path_)),
      overwrite_(overwrite),
      partial_(partial),
      file_(open_partial(path_, overwrite, partial)) {}

OutputFile::~OutputFile() {
  std::error_code ignored;
  const bool kept = partial_ == Partial::keep && worth_keeping_;
  if (!committed_ && !kept) fs::remove(partial_path_, ignored);
}

void OutputFile::commit() {
  file_.flush();
  file_.close();
  if (!overwrite_) refuse_existing(path_);
  std::error_code error;
  fs::rename(partial_path_, path_, error);
  if (error) throw output_error(path_, error.message());
  committed_ = true;
}

}  // namespace gembench
