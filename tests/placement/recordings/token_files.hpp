#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "placement/base/random.hpp"

/// Files of expert ids as engines write them, made here.
namespace gembench::testing {

/// [token][layer][k], distinct within a layer.
inline std::vector<std::uint16_t> random_ids(std::uint64_t seed, int tokens, int layers,
                                             int experts, int topk) {
  Random random(seed);
  std::vector<std::uint16_t> ids;
  for (int row = 0; row < tokens * layers; ++row) {
    // Equal strides up to experts / topk never meet again.
    const auto start = random.below(static_cast<std::uint64_t>(experts));
    const auto stride = 1 + random.below(static_cast<std::uint64_t>(experts / topk));
    for (int k = 0; k < topk; ++k)
      ids.push_back(static_cast<std::uint16_t>((start + static_cast<std::uint64_t>(k) * stride) %
                                               static_cast<std::uint64_t>(experts)));
  }
  return ids;
}

template <class Element>
std::string bytes_of(const std::vector<std::uint16_t>& ids) {
  std::string bytes(ids.size() * sizeof(Element), '\0');
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto value = static_cast<Element>(ids[i]);
    std::memcpy(bytes.data() + i * sizeof(Element), &value, sizeof(Element));
  }
  return bytes;
}

/// A .npy, version 1.
inline std::string npy(const std::string& descr, const std::string& shape, const std::string& data,
                       const std::string& fortran = "False") {
  std::string text =
      "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  while ((10 + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text + data;
}

inline std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i)
      group = group << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      text += at + i > bytes.size() ? '=' : digits[group >> (18 - 6 * i) & 63];
  }
  return text;
}

}  // namespace gembench::testing
