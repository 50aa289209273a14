#pragma once

#include <functional>
#include <memory>

#include "moe_layer/device/device.hpp"
#include "tests/bench/pairs.hpp"

namespace gembench::bench {

using MakeDevice = std::function<std::unique_ptr<Device>(const Comm&, const ModelShape&)>;

/// Three costs of measuring a layer of two, on any device: "tax" is MoeLayers::run_layer against
/// the same calls and barriers without a clock and books; "start barrier" those with and without
/// their first barrier; "stages" a step with barriers, waits and readings between its phases
/// against one that is timed as a whole. `more` as in compare().
void time_layers(const Comm& comm, const Effort& effort, const MakeDevice& make, const char* name,
                 double scale, int tokens, const std::string& more = "");

}  // namespace gembench::bench
