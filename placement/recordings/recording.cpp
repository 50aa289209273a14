#include "placement/recordings/recording.hpp"

#include <fmt/format.h>

#include "placement/base/error.hpp"
#include "placement/encodings/byte_stream.hpp"

namespace gembench::inline recordings {

std::string name_of(const RecordingInput& input) {
  if (input.paths.size() < 2) return input.paths.empty() ? "" : input.paths[0].string();
  return fmt::format("{} and {} more", input.paths[0].string(), input.paths.size() - 1);
}

const std::filesystem::path& only_path(const RecordingInput& input) {
  if (input.paths.size() != 1)
    throw usage_error(fmt::format("{} are {} files; this format is one: import them one by one",
                                  name_of(input), input.paths.size()));
  return input.paths[0];
}

std::string first_bytes(const std::filesystem::path& path, std::size_t count) {
  std::string bytes(count, '\0');
  try {
    ByteStream in(path);
    bytes.resize(in.read(bytes));
  } catch (const Error&) {
    bytes.clear();
  }
  return bytes;
}

}  // namespace gembench::inline recordings
