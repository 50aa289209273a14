#include "placement/encodings/npy.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "placement/base/error.hpp"

namespace gembench::inline encodings {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = std::size_t{64} << 10;
constexpr std::size_t kMaxRank = 32;

constexpr std::array<std::pair<std::string_view, Element>, 10> kTypes{{{"i1", Element::int8},
                                                                       {"u1", Element::uint8},
                                                                       {"i2", Element::int16},
                                                                       {"u2", Element::uint16},
                                                                       {"i4", Element::int32},
                                                                       {"u4", Element::uint32},
                                                                       {"i8", Element::int64},
                                                                       {"f2", Element::float16},
                                                                       {"f4", Element::float32},
                                                                       {"f8", Element::float64}}};

std::size_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

/// Takes the literal of a Python dict apart, as numpy.lib.format writes it.
class Literal {
 public:
  Literal(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  [[noreturn]] void refuse() const {
    throw usage_error(
        fmt::format("{} has a malformed .npy header; save it again with numpy.save", name_));
  }
  bool take(std::string_view token) {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) refuse();
  }
  std::string_view text() {
    const char quote = take("'") ? '\'' : '"';
    if (quote == '"') expect("\"");
    const auto end = rest_.find(quote);
    if (end == std::string_view::npos) refuse();
    const auto found = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return found;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> values;
    expect("(");
    while (!take(")")) {
      std::int64_t value = 0;
      const auto [stop, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
      if (error != std::errc{} || value < 0 || values.size() == kMaxRank) refuse();
      rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()));
      values.push_back(value);
      if (take(",")) {
        (void)take("");  // spaces
        continue;
      }
      expect(")");
      break;
    }
    return values;
  }

 private:
  std::string_view rest_;
  const std::string& name_;
};

Element element_of(std::string_view type, const std::string& name) {
  for (const auto& [spelling, element] : kTypes)
    if (type.size() == 3 && type.substr(1) == spelling &&
        (type[0] == '<' || (type[0] == '|' && size_of(element) == 1)))
      return element;
  throw usage_error(fmt::format(
      "{} has the type '{}'; save counts as little-endian integers: array.astype('<i8')", name,
      shown(type)));
}

}  // namespace

bool is_npy(std::string_view prefix) {
  return prefix.starts_with(kMagic);
}

std::size_t npy_header_bytes(std::string_view prefix, const std::string& name) {
  if (prefix.size() < kNpyPrefix || !prefix.starts_with(kMagic))
    throw usage_error(fmt::format("{} is no .npy file; save it with numpy.save", name));
  const auto version = byte_at(prefix, 6);
  if (version < 1 || version > 3)
    throw usage_error(
        fmt::format("{} has .npy version {}; this program reads 1 to 3", name, version));
  std::size_t length = byte_at(prefix, 8) | byte_at(prefix, 9) << 8;
  if (version > 1) length |= byte_at(prefix, 10) << 16 | byte_at(prefix, 11) << 24;
  if (length < 2 || length > kMaxHeader)
    throw usage_error(fmt::format("{} has a .npy header of {} bytes; save it again with numpy.save",
                                  name, length));
  return length + (version > 1 ? 12 : 10);
}

NpyHeader parse_npy_header(std::string_view bytes, const std::string& name) {
  const auto size = npy_header_bytes(bytes.substr(0, kNpyPrefix), name);
  const std::size_t before = byte_at(bytes, 6) > 1 ? 12 : 10;
  Literal literal(bytes.substr(0, size).substr(before), name);
  if (bytes.size() < size) literal.refuse();
  std::optional<std::string_view> type;
  std::optional<bool> fortran;
  std::optional<std::vector<std::int64_t>> shape;
  literal.expect("{");
  while (!literal.take("}")) {
    const auto key = literal.text();
    literal.expect(":");
    if (key == "descr") {
      type = literal.text();
    } else if (key == "fortran_order") {
      fortran = literal.take("True");
      if (!*fortran) literal.expect("False");
    } else if (key == "shape") {
      (void)literal.take("");
      shape = literal.tuple();
    } else {
      literal.refuse();
    }
    if (!literal.take(",")) {
      literal.expect("}");
      break;
    }
  }
  if (!type || !fortran || !shape) literal.refuse();
  if (*fortran && shape->size() > 1)
    throw usage_error(fmt::format(
        "{} is in Fortran order; save it with numpy.save(..., numpy.ascontiguousarray(array))",
        name));
  return {element_of(*type, name), std::move(*shape)};
}

std::string npy_content(std::string_view type, std::string_view shape) {
  constexpr std::size_t kBeforeHeader = 10;  // magic, version 1.0, length of the header
  constexpr std::size_t kAlignment = 64;
  auto header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}", type, shape);
  // As numpy.save pads it: the data begin at a multiple of 64 bytes, after a line feed.
  const auto used = kBeforeHeader + header.size() + 1;
  header.append((kAlignment - used % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string content(kMagic);
  content += {1, 0, static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)};
  return content + header;
}

}  // namespace gembench::inline encodings
