#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "placement/encodings/random_access.hpp"

namespace gembench::inline encodings {

/// A tensor in a .safetensors file.
struct SafeTensor {
  std::string name;
  std::string type;                 ///< as in the file: "I64"
  std::vector<std::int64_t> shape;  ///< none is negative
  std::uint64_t offset = 0;         ///< of its first byte in the file
  std::uint64_t bytes = 0;          ///< all of them are there
};

/// The tensors in the file's header, in the order of their bytes. Usage error for a header that is
/// malformed or above 100 MB (the format's own bound) and for tensors that overlap or lie outside.
[[nodiscard]] std::vector<SafeTensor> read_safetensors_header(const RandomAccessFile& file);

}  // namespace gembench::inline encodings
