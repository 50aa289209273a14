#pragma once

#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "harness/run/injected_drift.hpp"
#include "moe_layer/device/device.hpp"
#include "moe_layer/model/routing.hpp"
#include "moe_layer/model/shape.hpp"
#include "moe_layer/mpi/topology.hpp"
#include "placement/cost/placement.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/strategies/slot_count.hpp"
#include "placement/strategies/strategy.hpp"

namespace gembench::inline run {

/// The layout that the options give for a number of ranks, known before anything is allocated,
/// planned or measured. `run`, `profile` and the dry run without ranks begin with it, so all of
/// them reject the same options.
struct Layout {
  ModelShape model;
  Topology topology{std::vector<int>{}};
  std::vector<double> slowdown;  ///< [rank] when the run begins
  std::vector<InjectedDrift> drifts;
  Placement linear;  ///< experts in order; with a remainder, the last ranks hold fewer
  Placement
      profiled;  ///< linear with its empty slots filled: the same number of experts on every rank
  SlotCount asked;  ///< by --spare-slots and --replicas
  int slots = 0;    ///< of a rank in the placements that are measured, spare ones included
};

/// Usage error for options that do not suit the ranks of the topology. `placed_slots`: of a rank in
/// placements made earlier.
[[nodiscard]] Layout make_layout(const SessionOptions& options, const Topology& topology,
                                 int placed_slots);

/// Slots of a rank in the widest placement file for these ranks among the strategies; 0 without
/// any.
[[nodiscard]] int placed_slots(const std::vector<std::string>& strategies,
                               const StatedShape& shape);
/// The slots of the files among --placements; 0 without any.
[[nodiscard]] int placed_slots(const SessionOptions& options, int ranks);

/// The slots that --spare-slots and --replicas ask for; usage error as count_slots.
[[nodiscard]] SlotCount slots_of(const SlotOptions& options, const StatedShape& shape, int placed);
/// The ranks that a placement is made for.
struct PlanRanks {
  SlotCount asked;
  int nodes = 1;
  int groups = 0;
  NodeNetwork network = {};
};
/// The input of strategies, in every command.
[[nodiscard]] PlanInput plan_input(const SlotOptions& options, std::uint64_t seed,
                                   const PlanRanks& ranks, const Trace& trace,
                                   const CostModel& cost, const SplitSpec& split);

/// A rank's tokens of a step, by --tokens-per-rank.
[[nodiscard]] TokenRange share_of(const RoutingOptions& options, int tokens, int rank, int ranks);
/// Usage error if the device does not support --dispatch.
void require_dispatch(const NodeOptions& options, Device& device);

}  // namespace gembench::inline run
