#include "harness/run/sizes.hpp"

#include <algorithm>
#include <functional>
#include <vector>

#include "moe_layer/layers.hpp"
#include "moe_layer/profiler/load_points.hpp"
#include "placement/base/index.hpp"
#include "results/run_series.hpp"

namespace gembench::inline run {
namespace {

constexpr double kMostActive = 2 * 16;  // two loads, numbers of experts that double

/// Most pairs a rank with `slots` experts can receive in one layer.
std::int64_t largest_load(const Trace& trace, int slots) {
  std::int64_t largest = 0;
  std::vector<std::int32_t> sorted;
  for (int step = 0; step < trace.steps; ++step) {
    for (int layer = 0; layer < trace.layers; ++layer) {
      const auto loads = trace.loads(step, layer);
      sorted.assign(loads.begin(), loads.end());
      std::partial_sort(sorted.begin(), sorted.begin() + slots, sorted.end(), std::greater<>());
      std::int64_t sum = 0;
      for (int i = 0; i < slots; ++i) sum += sorted[sz(i)];
      largest = std::max(largest, sum);
    }
  }
  return largest;
}

}  // namespace

ReceiveLimits receive_limits(const Workload& workload, int slots) {
  ReceiveLimits limits;
  limits.pairs =
      std::max(largest_load(workload.plan, slots), largest_load(workload.measured, slots));
  limits.rows = std::min<std::int64_t>(limits.pairs, workload.tokens);
  return limits;
}

std::size_t rank_bytes(const ModelOptions& options, const ModelShape& model, const Device& device,
                       const Workload& workload, int slots, const ReceiveLimits& limits, int tokens,
                       std::size_t resident, const ForwardLimits& forwarded) {
  const int weight_layers = std::min(options.weight_layers.value_or(model.layers), model.layers);
  // Layers that share weights hold the union of their experts; residents that of all placements.
  const std::size_t sharing = sz((model.layers + weight_layers - 1) / weight_layers) * resident;
  const std::size_t experts = std::min(sz(model.experts), sharing * sz(slots));
  const std::size_t weights =
      (sz(weight_layers) + 1) * (experts + sz(model.shared)) * device.expert_bytes();
  const std::size_t hidden = sz(model.hidden) * sizeof(float);
  const std::size_t buffers = (3 * sz(limits.rows) + 6 * sz(workload.tokens)) * hidden * 2;
  return weights + buffers + forwarding_bytes(forwarded, model, device) +
         device.scratch_bytes({sz(tokens), sz(limits.rows), sz(limits.pairs), forwarded});
}

std::size_t load_bytes(const Workload& workload) {
  return workload.plan.bytes() + workload.measured.bytes();
}

std::size_t root_bytes(const RunShape& shape, int segment_steps) {
  const std::size_t layers = sz(shape.layers), ranks = sz(shape.ranks);
  const std::size_t readings = sz(segment_steps) * layers * ranks;
  const std::size_t fields = kTimes.size() + kCounts.size() + kGpuTimes.size();
  return readings * (sizeof(LayerReading) + fields * sizeof(double)) +
         sz(shape.placements) * sz(shape.steps) * layers * 2 * sizeof(double) +
         sz(shape.placements) * layers * ranks * ranks * 2 * sizeof(std::int64_t);
}

double file_bytes(const RunShape& s, bool gpus) {
  const double placements = s.placements, steps = s.steps, layers = s.layers, ranks = s.ranks;
  const auto reading = static_cast<double>(cell_bytes(kTimes) + cell_bytes(kCounts) +
                                           (gpus ? cell_bytes(kGpuTimes) : 0));
  // How many loads a profile is measured at is found while it is.
  const double profile = 3 * static_cast<double>(LoadPointRules{}.max_load_points) + kMostActive;
  return placements * steps * layers * ranks * reading + steps * layers * s.experts * 4 +
         placements * steps * (2 * layers + ranks + 2) * 4 +
         placements * layers * ranks * ranks * 8 + placements * layers * ranks * s.slots * 4 +
         ranks * profile * 8 +
         (gpus ? static_cast<double>(series_bytes(static_cast<std::uint64_t>(s.ranks))) : 0);
}

}  // namespace gembench::inline run
