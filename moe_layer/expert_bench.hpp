#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/clock.hpp"
#include "moe_layer/device.hpp"

namespace gembench {

/// A load that the expert phase can be given: so many tokens, spread evenly over so many experts.
struct ExpertLoad {
  std::int64_t tokens = 0;  ///< one count per (token, expert)
  int active = 1;           ///< experts that share them
  bool operator==(const ExpertLoad&) const = default;
};

/// The expert phase of one rank under a made-up load, with buffers of its own.
class ExpertBench {
 public:
  /// Room for `max_load` tokens of `max_rows` distinct ones, for `slots` experts.
  ExpertBench(Device& device, const ModelShape& model, std::int64_t max_load, std::int64_t max_rows,
              int slots);

  /// Time of one expert phase with a layer's experts, [slot]; the active ones begin at slot
  /// `first` and go around.
  double seconds(const ExpertLoad& load, int first, std::span<const Buffer* const> weights,
                 Clock clock);

 private:
  Device& device_;
  Stream stream_;
  int slots_;
  std::int64_t max_rows_;
  std::vector<std::int32_t> pairs_to_;  // [slot]
  Buffer rows_, results_, sums_, pairs_, slot_tokens_;
};

}  // namespace gembench
