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
    throw usage_error(fmt::format(
        "{} are {} files; this format is one: import them one by one, and join them by trace join",
        name_of(input), input.paths.size()));
  return input.paths[0];
}

void require_stated(const std::string& name, const char* what, std::int64_t has, int stated) {
  if (stated != 0 && has != stated)
    throw usage_error(fmt::format("{} has {} = {} but {} was stated; correct --{} or --model", name,
                                  what, has, stated, what));
}

std::vector<std::string> rounding_notes(std::int64_t exact, std::int64_t largest) {
  if (exact == 0 || largest <= exact) return {};
  return {fmt::format(
      "its numbers have 16 bits, which round counts above {}; save them as integers", exact)};
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
