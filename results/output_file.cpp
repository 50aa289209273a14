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

using Existing = OutputFile::Existing;
using Partial = OutputFile::Partial;

fs::path working_path(const fs::path& path, Partial partial) {
  fs::path working = partial_of(path);
  return partial == Partial::keep ? working += ".new" : working;
}

/// Makes way for the new file; what is wrong with the path shows now and not after hours.
h5::File open_working(const fs::path& path, Existing existing, Partial partial) {
  const auto working = working_path(path, partial);
  std::error_code error;
  if (fs::is_directory(path, error)) throw output_error(path, "it is a folder");
  if (existing != Existing::replace) refuse_existing(path);
  if (existing == Existing::refuse && partial == Partial::keep) refuse_existing(partial_of(path));
  // Removed, not truncated: another run that still writes it keeps its own file.
  fs::remove(working, error);
  if (error && error != std::errc::not_a_directory) throw output_error(working, error.message());
  try {
    return h5::File::create(working);
  } catch (const Error&) {  // on a full disk the name alone can be made
    if (fs::file_size(working, error) == 0) fs::remove(working, error);
    throw;
  }
}

}  // namespace

OutputFile::OutputFile(fs::path path, Existing existing, Partial partial)
    : path_(std::move(path)),
      working_path_(working_path(path_, partial)),
      existing_(existing),
      partial_(partial),
      file_(open_working(path_, existing, partial)) {}

OutputFile::~OutputFile() {
  std::error_code ignored;
  const bool kept = partial_ == Partial::keep && working_path_ == partial_of(path_);
  if (!committed_ && !kept) fs::remove(working_path_, ignored);
}

void OutputFile::publish() {
  file_.flush();
  std::error_code error;
  fs::rename(working_path_, partial_of(path_), error);
  if (error) throw output_error(partial_of(path_), error.message());
  working_path_ = partial_of(path_);
  file_.was_renamed(working_path_);
}

void OutputFile::require_there() const {
  std::error_code error;
  if (fs::exists(working_path_, error) || error) return;
  throw output_error(working_path_, "it was deleted while the run was writing it");
}

void OutputFile::commit() {
  file_.flush();
  file_.close();
  if (existing_ != Existing::replace) refuse_existing(path_);
  std::error_code error;
  fs::rename(working_path_, path_, error);
  if (error) throw output_error(path_, error.message());
  committed_ = true;
}

}  // namespace gembench
