#include "results/file_kind.hpp"

#include <algorithm>
#include <array>
#include <fstream>

#include "placement/base/error.hpp"
#include "results/hdf5/hdf5.hpp"

namespace gembench::inline results {
namespace {

/// HDF5's signature lies at 0, 512, 1024, ...; files of ours and of h5py begin with it.
bool begins_like_hdf5(const std::filesystem::path& path) {
  constexpr std::array<char, 8> kSignature{'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
  std::ifstream file(path, std::ios::binary);
  std::array<char, kSignature.size()> begin{};
  return file.read(begin.data(), begin.size()) && begin == kSignature;
}

}  // namespace

std::string schema_of(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    throw usage_error(path.string() + " does not exist or is no file: check the path");
  }
  if (!begins_like_hdf5(path)) return {};
  const auto file = h5::File::open(path);
  return file.has_text("/", "schema") ? file.get<std::string>("/", "schema") : std::string();
}

}  // namespace gembench::inline results
