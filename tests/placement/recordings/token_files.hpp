#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "placement/base/random.hpp"
#include "placement/recordings/formats.hpp"

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

/// Windows of the ids counted one by one.
inline void expect_windows(const std::vector<Trace>& parts, const std::vector<std::uint16_t>& ids,
                           const RecordingInput& shape, int window) {
  const auto each = std::size_t(shape.layers * shape.topk);
  std::size_t step = 0;
  for (const auto& part : parts) {
    EXPECT_NO_THROW(validate(part));
    for (int s = 0; s < part.steps; ++s, ++step)
      for (int layer = 0; layer < shape.layers; ++layer) {
        std::vector<std::int32_t> counts(std::size_t(shape.experts), 0);
        for (std::size_t token = 0; token < std::size_t(window); ++token)
          for (int k = 0; k < shape.topk; ++k)
            ++counts[ids[(step * std::size_t(window) + token) * each +
                         std::size_t(layer * shape.topk + k)]];
        ASSERT_TRUE(std::ranges::equal(part.loads(s, layer), counts)) << step << ' ' << layer;
      }
  }
  EXPECT_EQ(step, ids.size() / each / std::size_t(window));
}

inline bool looks_like(const char* format, const RecordingInput& input) {
  return find_format(format, input).recognise(input);
}

inline RecordingInput input_of(const std::filesystem::path& path, int layers, int experts,
                               int topk) {
  RecordingInput input;
  input.paths = {path};
  input.layers = layers;
  input.experts = experts;
  input.topk = topk;
  return input;
}

/// An OpenAI response of vLLM with these ids.
inline nlohmann::json response(const std::string& routed, int prompt) {
  nlohmann::json choice{{"index", 0}, {"message", {{"content", "\"routed_experts\": text"}}}};
  choice["routed_experts"] = routed;
  nlohmann::json answer{{"id", "x"}, {"choices", nlohmann::json::array({choice})}};
  if (prompt >= 0) answer["usage"] = {{"prompt_tokens", prompt}, {"total_tokens", 99}};
  return answer;
}

}  // namespace gembench::testing
