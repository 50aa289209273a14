#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/device/buffer.hpp"
#include "moe_layer/device/device_calls.hpp"

namespace gembench::inline cpu {

/// Rows and pairs of (token, expert) sorted by destination: what dispatch sends.
class CpuPacking {
 public:
  CpuPacking(int ranks, int topk, std::size_t row_bytes);
  void pack(const PackArgs& args);
  void forward(const ForwardArgs& args);

 private:
  /// Sources and destinations of rows; see PackArgs.
  struct Placing {
    const Buffer* from;
    Buffer *rows, *pairs, *row_from;
    std::span<std::int32_t> counts;
  };
  template <class ForEachPair>
  void place(const ForEachPair& for_each_pair, const Placing& to);

  std::size_t ranks_, topk_, row_bytes_;
  std::vector<std::int32_t> seen_;              // [rank] row the token already has there, -1 = none
  std::vector<std::int32_t> first_row_;         // [rank] where a destination's rows start
  std::vector<std::int32_t> row_at_, pair_at_;  // [rank] where its next row and pair go
};

}  // namespace gembench::inline cpu
