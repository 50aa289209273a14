#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "placement/base/error.hpp"

namespace gembench::inline base {

/// Most experts a layer may have: ids are 16 bits wide.
inline constexpr int kMaxExperts = 65536;
/// Most elements that an array in placement/ may have; anything larger is a broken file or a typo.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 29;

/// Product of sizes that are about to be allocated. Rejects (usage error naming `what`) a negative
/// factor and a result above kMaxElements, so that no overflowed product reaches an allocator.
[[nodiscard]] inline std::size_t checked_product(std::initializer_list<std::int64_t> factors,
                                                 std::string_view what) {
  std::int64_t product = 1;
  for (auto factor : factors) {
    if (factor < 0 || __builtin_mul_overflow(product, factor, &product) || product > kMaxElements)
      throw usage_error(std::string(what) +
                        " has an impossible size; check its numbers of steps, "
                        "layers, experts and tokens");
  }
  return static_cast<std::size_t>(product);
}

}  // namespace gembench::inline base
