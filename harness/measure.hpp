#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/options.hpp"
#include "harness/workload.hpp"
#include "moe_layer/check.hpp"
#include "moe_layer/layers.hpp"
#include "results/run_file.hpp"

namespace gembench {

/// Consecutive steps of one placement within a block of steps that all placements run.
struct Turn {
  int placement = 0;
  int first_step = 0;
  int steps = 0;
  int block = 0;
  bool last_of_placement = false;
};

/// Cuts `steps` into blocks of at least `block` steps; in every block all placements run the same
/// steps, in an order drawn from the seed.
[[nodiscard]] std::vector<Turn> make_schedule(int steps, int block, int placements,
                                              std::uint64_t seed);

/// On the cpu-time clock waits exist only between the ranks' readings: barrier_wait = the largest
/// route + expert of the step's layer minus the own, layer_time = the largest, step_time = their
/// sum. Fills these three in a gathered block.
void complete_cpu_time(Block& block, const RunShape& shape);

/// All that measuring needs; borrowed.
struct MeasureInput {
  const Comm& comm;
  const Device& device;
  const ModelShape& model;
  ExpertStore& store;
  MoeLayers& layers;
  const Workload& workload;
  const std::vector<Placement>& placements;
  const Options& options;
  Clock clock = Clock::wall;
};

/// Collective: runs the schedule. After every turn rank 0 is given the gathered block (`keep`, for
/// writing); returns what is known at the end (complete on rank 0).
[[nodiscard]] RunEnd measure(const MeasureInput& input,
                             const std::function<void(const Block&)>& keep);

}  // namespace gembench
