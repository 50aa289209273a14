#include "placement/encodings/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <span>

namespace gembench::inline encodings {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxRank = 8;

/// Listens to the JSON of a header: {"name": {"dtype": ..., "shape": [...], "data_offsets": [...]},
/// "__metadata__": {...}}. Returning false ends the parsing.
struct HeaderListener {
  using json = nlohmann::json;

  std::vector<SafeTensor> tensors;
  std::array<std::int64_t, 2> range{};
  std::size_t ends = 0;  ///< of `range` that were seen
  std::string field;
  int depth = 0;
  bool in_metadata = false;

  bool null() { return false; }
  bool boolean(bool) { return false; }
  bool number_integer(std::int64_t) { return false; }  // negative
  bool number_float(double, const std::string&) { return false; }
  bool binary(json::binary_t&) { return false; }
  bool number_unsigned(std::uint64_t value) {
    if (depth != 3 || value > std::uint64_t{INT64_MAX}) return false;
    const auto number = static_cast<std::int64_t>(value);
    if (field == "shape") {
      tensors.back().shape.push_back(number);
      return tensors.back().shape.size() <= kMaxRank;
    }
    if (field != "data_offsets" || ends == 2) return false;
    range[ends++] = number;
    return true;
  }
  bool string(std::string& value) {
    if (in_metadata) return depth == 2;
    if (depth != 2 || field != "dtype") return false;
    tensors.back().type = value;
    return true;
  }
  bool start_object(std::size_t) { return ++depth <= 2; }
  bool end_object() {
    if (depth-- == 2 && !in_metadata) {
      auto& tensor = tensors.back();
      if (ends != 2 || range[0] > range[1] || tensor.type.empty()) return false;
      tensor.offset = static_cast<std::uint64_t>(range[0]);
      tensor.bytes = static_cast<std::uint64_t>(range[1] - range[0]);
    }
    return true;
  }
  bool start_array(std::size_t) { return ++depth == 3 && !in_metadata; }
  bool end_array() {
    --depth;
    return true;
  }
  bool key(std::string& name) {
    if (depth == 2) {
      field = name;
      return true;
    }
    ends = 0;
    in_metadata = name == "__metadata__";
    if (!in_metadata) tensors.push_back({std::move(name), "", {}, 0, 0});
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) {
    return false;
  }
};

}  // namespace

std::vector<SafeTensor> read_safetensors_header(const RandomAccessFile& file) {
  std::uint64_t length = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeader || length > file.size() - sizeof length)
    file.refuse(fmt::format("has a safetensors header of {} bytes, more than there are or than {}",
                            length, kMaxHeader));
  std::string header(length, '\0');
  file.read_at(sizeof length, std::as_writable_bytes(std::span(header)));
  HeaderListener listener;
  if (!nlohmann::json::sax_parse(header, &listener) || listener.depth != 0)
    file.refuse("has a malformed safetensors header; write it again");

  auto tensors = std::move(listener.tensors);
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const auto data = sizeof length + length;
  std::uint64_t end = 0;
  for (auto& tensor : tensors) {
    if (tensor.offset < end)
      file.refuse(fmt::format("has a tensor {} that overlaps another", tensor.name.substr(0, 64)));
    end = tensor.offset + tensor.bytes;
    if (end > file.size() - data)
      file.refuse(
          fmt::format("ends before its tensor {}; it was cut off", tensor.name.substr(0, 64)));
    tensor.offset += data;
  }
  return tensors;
}

}  // namespace gembench::inline encodings
