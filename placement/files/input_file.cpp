#include "placement/files/input_file.hpp"

#include <fmt/format.h>

#include <fstream>
#include <system_error>

#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"

namespace gembench::inline files {

std::string read_input_file(const std::filesystem::path& path, std::uintmax_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    throw usage_error(fmt::format("{} does not exist; check the path", path.string()));
  if (!std::filesystem::is_regular_file(status))
    throw usage_error(fmt::format("{} is not a regular file; name a file", path.string()));
  const auto size = std::filesystem::file_size(path, error);
  if (error)
    throw usage_error(fmt::format("{} cannot be read: {}", path.string(), error.message()));
  if (size > max_bytes)
    throw usage_error(
        fmt::format("{} has {} bytes, more than the {} accepted; cut it to fewer steps",
                    path.string(), size, max_bytes));
  std::ifstream in(path, std::ios::binary);
  std::string content(size, '\0');
  in.read(content.data(), static_cast<std::streamsize>(size));
  if (!in)
    throw usage_error(fmt::format("{} cannot be read; check its permissions", path.string()));
  refuse_utf16(content, path.string());
  content.erase(0, content.size() - without_bom(content).size());
  return content;
}

}  // namespace gembench::inline files
