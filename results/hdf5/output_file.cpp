#include "results/hdf5/output_file.hpp"

#include <fmt/format.h>

#include <system_error>

namespace gembench::inline hdf5 {
namespace fs = std::filesystem;
namespace {

Error output_error(const fs::path& path, const std::string& reason) {
  return Error(ExitCode::output, fmt::format("cannot write {}: {}", path.string(), reason));
}

fs::path partial_of(fs::path path) {
  return path += ".partial";
}

using Existing = OutputFile::Existing;
using Partial = OutputFile::Partial;

fs::path working_path(const fs::path& path, Partial partial) {
  fs::path working = partial_of(path);
  return partial == Partial::keep ? working += ".new" : working;
}

/// Creates the new file, so that errors in the path appear now and not after hours.
h5::File open_working(const fs::path& path, Existing existing, Partial partial) {
  const auto working = working_path(path, partial);
  std::error_code error;
  if (fs::is_directory(path, error)) throw output_error(path, "it is a folder");
  require_free(path, existing, partial);
  fs::remove(working, error);  // a dead owner's
  if (error && error != std::errc::not_a_directory)
    throw output_error(working, system_reason(error.value()));
  try {
    return h5::File::create(working);
  } catch (const Error&) {  // on a full disk the name alone can be made
    if (fs::file_size(working, error) == 0) fs::remove(working, error);
    throw;
  }
}

}  // namespace

void require_free(const fs::path& path, Existing existing, Partial partial) {
  if (existing != Existing::replace) require_new(path);
  if (existing != Existing::refuse || partial != Partial::keep) return;
  std::error_code ignored;
  const auto unfinished = partial_of(path);
  if (!fs::exists(fs::symlink_status(unfinished, ignored))) return;
  throw Error(ExitCode::output,
              fmt::format("{} holds an unfinished run: continue it with --resume, choose another "
                          "--output, or discard it with --overwrite",
                          unfinished.string()));
}

OutputFile::OutputFile(OutputOwner owner, Existing existing, Partial partial)
    : owner_(std::move(owner)),
      working_path_(working_path(path(), partial)),
      existing_(existing),
      partial_(partial),
      file_(open_working(path(), existing, partial)) {}

OutputFile::~OutputFile() {
  std::error_code ignored;
  const bool kept = partial_ == Partial::keep && working_path_ == partial_of(path());
  if (!committed_ && !kept) fs::remove(working_path_, ignored);
}

void OutputFile::publish() {
  file_.flush();
  require_there();
  std::error_code error;
  fs::rename(working_path_, partial_of(path()), error);
  if (error) throw output_error(partial_of(path()), system_reason(error.value()));
  working_path_ = partial_of(path());
  file_.was_renamed(working_path_);
}

void OutputFile::require_there() const {
  std::error_code error;
  if (!fs::exists(working_path_, error) && !error) {
    throw output_error(working_path_, "it was deleted while the run was writing it");
  }
  if (!error && !file_.is_at(working_path_)) {
    throw output_error(working_path_, "another program replaced it while the run was writing it");
  }
}

void OutputFile::commit() {
  file_.flush();
  require_there();
  file_.close();
  if (existing_ != Existing::replace) require_new(path());
  std::error_code error;
  fs::rename(working_path_, path(), error);
  if (error) throw output_error(path(), system_reason(error.value()));
  committed_ = true;
}

}  // namespace gembench::inline hdf5
