#pragma once

#include <array>
#include <span>
#include <string_view>

namespace gembench::inline speeds {

/// Tokens of a step, over all ranks, at which the latencies were measured: those at the edges of
/// the kernels' tiles and powers of two. Points between them that linear interpolation restores,
/// mostly within 1 %, are left out.
inline constexpr std::array<int, 19> kMeasuredTokens = {
    1, 2, 4, 8, 16, 32, 64, 80, 128, 256, 320, 512, 768, 1024, 1536, 2048, 4096, 8192, 16384};

/// One expert-parallel size.
struct MeasuredRow {
  int ranks;                                             ///< that share the experts
  std::array<double, kMeasuredTokens.size()> latencies;  ///< us, of one rank and one layer
};

/// A model on a device.
struct MeasuredModel {
  std::string_view device;  ///< short name: "l40s"
  std::string_view model;
  std::string_view dtype;
  std::string_view kernel;
  int experts;
  int topk;
  std::span<const MeasuredRow> rows;  ///< by ranks, ascending, the first is 1 rank
};

/// Latency of one rank's experts when every expert gets the same tokens ("balanced"), as measured
/// with vLLM 0.24.0's fused MoE kernels, weights resident, without communication.
[[nodiscard]] std::span<const MeasuredModel> measured_models();

}  // namespace gembench::inline speeds
