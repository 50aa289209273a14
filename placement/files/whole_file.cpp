#include "placement/files/whole_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

#include "placement/base/error.hpp"

namespace gembench::inline files {
namespace {

Error cannot_write(const std::filesystem::path& path, const std::string& why) {
  return Error(ExitCode::output, fmt::format("{} cannot be written: {}", path.string(), why));
}

}  // namespace

void write_whole_file(const std::filesystem::path& path, std::string_view content, bool overwrite) {
  write_whole_file(OutputOwner(path), content, overwrite);
}

void write_whole_file(const OutputOwner& owner, std::string_view content, bool overwrite) {
  const auto& path = owner.path();
  if (!overwrite) require_new(path);
  auto partial = path;
  partial += ".partial";
  std::error_code error;
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  if (!out) throw cannot_write(path, system_reason(errno));
  out << content;
  out.close();
  if (out) std::filesystem::rename(partial, path, error);
  if (!out || error) {
    const auto why = system_reason(error ? error.value() : errno);
    std::filesystem::remove(partial, error);
    throw cannot_write(path, why);
  }
}

void require_writable(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw cannot_write(path, "it is a folder");
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw cannot_write(path, system_reason(errno));
  if (!std::filesystem::is_directory(folder, error)) {
    throw cannot_write(path, fmt::format("{} is not a folder", folder.string()));
  }
}

}  // namespace gembench::inline files
