#include "placement/whole_file.hpp"

#include <fmt/format.h>

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

void write_whole_file(const std::filesystem::path& path, std::string_view content, bool overwrite) {
  std::error_code error;
  if (!overwrite && std::filesystem::exists(std::filesystem::symlink_status(path, error)))
    throw Error(
        ExitCode::output,
        fmt::format("{} exists already; choose another name or pass --overwrite", path.string()));
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

}  // namespace gembench
