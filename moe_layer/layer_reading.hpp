#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

namespace gembench::inline moe_layer {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

/// The readings of one rank in one layer of one step. Seconds on the run's clock; NaN if that clock
/// cannot measure it (README.md has the table).
struct LayerReading {
  double start_time = kNotMeasured;  ///< t0
  double start_wait = kNotMeasured;  ///< from the previous layer's end (or the step's start) to t0
  double route_time = kNotMeasured;  ///< t1 - t0
  double dispatch_time = kNotMeasured;  ///< t2 - t1
  double expert_time = kNotMeasured;    ///< t3 - t2
  /// t4 - t3. On cpu-time and gpu-stamps known when all ranks are together; on gpu-stamps until
  /// then as long as it can be: the time to the last result.
  double barrier_wait = kNotMeasured;
  double combine_time = kNotMeasured;  ///< t5 - t4
  double layer_time = kNotMeasured;    ///< t5 - t0; likewise
  /// Route, dispatch, experts and combine by the device's own clock, without the host's waits and
  /// without emulated slowdown (DeviceClock). Only from run_step(), NaN without such a clock.
  std::array<double, 4> device_time{kNotMeasured, kNotMeasured, kNotMeasured, kNotMeasured};
  std::int64_t tokens = 0;  ///< assignments (token-expert) computed here
  std::int64_t active_experts = 0;
  std::int64_t bytes_sent = 0;        ///< dispatch payload to other ranks
  std::int64_t inter_node_bytes = 0;  ///< of it: to other nodes
  std::int64_t metadata_bytes = 0;    ///< dispatch metadata to other ranks: counts and pairs
};

/// Readings by the keys that they are stored under (results/quantities.hpp).
template <class T>
struct NamedReading {
  std::string_view key;
  T LayerReading::*member = nullptr;
};
inline constexpr std::array kReadTimes{
    NamedReading<double>{"start_time", &LayerReading::start_time},
    NamedReading<double>{"start_wait", &LayerReading::start_wait},
    NamedReading<double>{"route_time", &LayerReading::route_time},
    NamedReading<double>{"dispatch_time", &LayerReading::dispatch_time},
    NamedReading<double>{"expert_time", &LayerReading::expert_time},
    NamedReading<double>{"barrier_wait", &LayerReading::barrier_wait},
    NamedReading<double>{"combine_time", &LayerReading::combine_time},
    NamedReading<double>{"layer_time", &LayerReading::layer_time}};
inline constexpr std::array kReadCounts{
    NamedReading<std::int64_t>{"assignments", &LayerReading::tokens},
    NamedReading<std::int64_t>{"active_experts", &LayerReading::active_experts},
    NamedReading<std::int64_t>{"bytes_sent", &LayerReading::bytes_sent},
    NamedReading<std::int64_t>{"inter_node_bytes", &LayerReading::inter_node_bytes},
    NamedReading<std::int64_t>{"metadata_bytes", &LayerReading::metadata_bytes}};

}  // namespace gembench::inline moe_layer
