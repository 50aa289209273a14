#include "placement/whole_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>

#include "placement/error.hpp"

namespace gembench {
namespace {

Error cannot_write(const std::filesystem::path& path, const std::string& why) {
  return Error(ExitCode::output, fmt::format("{} cannot be written: {}", path.string(), why));
}

}  // namespace

void require_new_file(const std::filesystem::path& path, bool overwrite) {
  std::error_code error;
  if (!overwrite && std::filesystem::exists(std::filesystem::symlink_status(path, error)))
    throw Error(
        ExitCode::output,
        fmt::format("{} exists already; choose another name or pass --overwrite", path.string()));
}

void write_whole_file(const std::filesystem::path& path, std::string_view content, bool overwrite) {
  require_new_file(path, overwrite);
  std::error_code error;
  auto partial = path;
  partial += ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  if (!out) throw cannot_write(path, std::strerror(errno));
  out << content;
  out.close();
  if (out) std::filesystem::rename(partial, path, error);
  if (!out || error) {
    const auto why = error ? error.message() : std::string(std::strerror(errno));
    std::filesystem::remove(partial, error);
    throw cannot_write(path, why);
  }
}

void require_writable(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw cannot_write(path, "it is a folder");
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw cannot_write(path, std::strerror(errno));
  if (!std::filesystem::is_directory(folder, error)) {
    throw cannot_write(path, fmt::format("{} is no folder", folder.string()));
  }
}

}  // namespace gembench
