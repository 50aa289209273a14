#include "placement/exchange/npy_header.hpp"

#include <array>
#include <regex>
#include <string>

#include "placement/error.hpp"

namespace gembench {
namespace {

constexpr std::size_t kMaxHeader = 4096;  // numpy writes 128

/// What `pattern` captures.
std::string found(const std::string& text, const char* pattern, const char* what) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(pattern)))
    throw usage_error(std::string("its .npy header has no usable ") + what + "; save it again");
  return match[1];
}

}  // namespace

NpyHeader read_npy_header(const std::function<void(std::span<char>)>& read) {
  std::array<char, 8> start{};
  read(start);
  if (!std::string_view(start.data(), start.size()).starts_with(kNpyMagic))
    throw usage_error("it is no .npy file");
  std::array<char, 4> size{};
  const std::size_t width = start[6] == 1 ? 2 : 4;
  read(std::span(size).first(width));
  std::size_t length = 0;
  for (std::size_t i = 0; i < width; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(size[i])) << (8 * i);
  if (length > kMaxHeader) throw usage_error("its .npy header is far too long; save it again");
  std::string text(length, '\0');
  read(text);

  NpyHeader header;
  const auto type = found(text, "'descr': *'[<|]([uif][1248])'", "little-endian number type");
  header.kind = type[0];
  header.bytes = type[1] - '0';
  if (found(text, "'fortran_order': *(True|False)", "fortran_order") == "True")
    throw usage_error("it is stored in Fortran order; save numpy.ascontiguousarray of it");
  const auto shape = found(text, "'shape': *\\(([0-9, ]*)\\)", "shape");
  const std::regex number("[0-9]+");
  for (std::sregex_iterator at(shape.begin(), shape.end(), number), end; at != end; ++at) {
    if (at->str().size() > 12) throw usage_error("its .npy header has an impossible shape");
    header.shape.push_back(std::stoull(at->str()));
  }
  return header;
}

}  // namespace gembench
