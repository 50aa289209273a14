#include "harness/run/profiled_weights.hpp"

#include <algorithm>
#include <cmath>

namespace gembench::inline run {
namespace {

/// Larger than the caches of a node. More weights than that come from memory anyway.
constexpr std::size_t kBeyondCaches = std::size_t{4} << 30;

}  // namespace

std::vector<Placement> profiled_weights(const Placement& profiled, int count,
                                        std::size_t set_bytes) {
  const auto enough = static_cast<int>(
      std::min<std::size_t>(1 + kBeyondCaches / std::max<std::size_t>(set_bytes, 1), 1U << 20));
  const int sets = std::min(count, enough);
  std::vector<Placement> all{profiled};
  // A random placement lacks an expert of a rank with this probability.
  const double lacks = 1 - std::min(1.0, double(profiled.slots) / profiled.experts);
  const double held = profiled.experts * (1 - std::pow(lacks, sets));
  for (int set = 1; set < sets; ++set) {
    const auto shift =
        static_cast<int>(std::lround(std::max(0.0, held - profiled.slots) * set / (sets - 1)));
    Placement shifted = profiled;
    for (auto& expert : shifted.slot_expert) {
      if (expert >= 0) expert = (expert + shift) % profiled.experts;
    }
    all.push_back(std::move(shifted));
  }
  return all;
}

}  // namespace gembench::inline run
