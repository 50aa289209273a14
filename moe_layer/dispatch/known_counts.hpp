#pragma once

#include <cstdint>
#include <span>

#include "placement/cost/placement.hpp"

namespace gembench::inline dispatch {

/// What Device::pack() would count, on the host, from the experts (or physical slots) of a layer's
/// tokens, `ids` [token][topk]. `locations` as PackArgs; `counts` out, [rank][2 + slot].
void count_sends(std::span<const std::uint16_t> ids, int topk, std::span<const Location> locations,
                 int slots, std::span<std::int32_t> counts);

}  // namespace gembench::inline dispatch
