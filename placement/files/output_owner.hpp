#pragma once

#include <filesystem>
#include <string>

namespace gembench::inline files {

/// The right to write one file. The first OutputOwner of a path owns the name until it is
/// destroyed, even before the file itself exists; for all others it is an output error that names
/// host and process.
///
/// `PATH.lock` holds an advisory lock, which the system releases when its owner dies, and names the
/// owner. If the file system has no locks, its text decides: an owner on this host that has died,
/// or an earlier start of the same Slurm job, no longer owns the name; an owner on another host
/// cannot be checked, so it keeps the name until PATH.lock is deleted.
class OutputOwner {
 public:
  explicit OutputOwner(std::filesystem::path path);
  ~OutputOwner();  ///< the name is free again, PATH.lock is gone
  OutputOwner(OutputOwner&& other) noexcept;
  OutputOwner& operator=(OutputOwner&&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  void claim();
  bool claim_file(bool created);

  std::filesystem::path path_, lock_path_;
  int file_ = -1;        ///< of the lock; -1 = this owns nothing
  bool locked_ = false;  ///< by the file system, not only by the file's text
};

/// Output error with the remedies where `path` exists.
void require_new(const std::filesystem::path& path);

}  // namespace gembench::inline files
