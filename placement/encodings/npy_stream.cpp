#include "placement/encodings/npy_stream.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <utility>
#include <vector>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::size_t kMostArrays = 1024;
constexpr std::size_t kMostShown = 8;
constexpr std::string_view kSuffix = ".npy";

/// The archive's entry that holds the array.
std::string entry_of(const std::filesystem::path& path, std::string_view array) {
  std::vector<std::string> names;
  for (const auto& entry : ByteStream::zip_entries(path, kMostArrays))
    if (entry.ends_with(kSuffix)) names.push_back(entry.substr(0, entry.size() - kSuffix.size()));
  if (names.empty())
    throw usage_error(fmt::format("{} holds no array; save it with numpy.savez", path.string()));
  if (array.empty() && names.size() == 1) return names[0] + std::string(kSuffix);
  if (!array.empty() && std::find(names.begin(), names.end(), array) != names.end())
    return fmt::format("{}{}", array, kSuffix);
  const auto others = names.size() > kMostShown ? ", ..." : "";
  names.resize(std::min(names.size(), kMostShown));
  for (auto& name : names) name = shown(name);
  throw usage_error(fmt::format("{} holds {}{}{}: name one with --array", path.string(),
                                fmt::join(names, ", "), others,
                                array.empty() ? "" : fmt::format(", no array '{}'", shown(array))));
}

}  // namespace

bool is_npz(const std::filesystem::path& path) {
  std::array<char, 4> start{};
  return path.extension() == ".npz" &&
         std::ifstream(path, std::ios::binary).read(start.data(), start.size()) &&
         std::string_view(start.data(), start.size()) == "PK\x03\x04";
}

NpyStream open_npy(const std::filesystem::path& path, std::string_view array) {
  const bool zipped = is_npz(path);
  if (!zipped && !array.empty())
    throw usage_error(
        fmt::format("{} is no .npz with arrays to choose from: drop --array", path.string()));
  const auto entry = zipped ? entry_of(path, array) : "";
  const auto name = zipped ? fmt::format("{}: {}", path.string(), shown(entry)) : path.string();
  auto in = zipped ? ByteStream(path, entry) : ByteStream(path);
  std::string header(kNpyPrefix, '\0');
  in.read_exactly(header);
  header.resize(std::max(kNpyPrefix, npy_header_bytes(header, name)));
  in.read_exactly(std::span(header).subspan(kNpyPrefix));
  auto parsed = parse_npy_header(header, name);
  return {std::move(in), std::move(parsed)};
}

}  // namespace gembench::inline encodings
