#pragma once

#include <cstdint>
#include <vector>

#include "moe_layer/layers.hpp"
#include "placement/profile.hpp"

namespace gembench {

/// How a profile is taken.
struct ProfileOptions {
  Clock clock = Clock::wall;
  double slowdown = 1;        ///< of this rank, emulated
  std::int64_t max_load = 0;  ///< largest load in tokens that a plan may ask about
  std::int64_t max_rows = 0;  ///< distinct tokens a rank can receive
  int slots = 0;              ///< experts per rank
  double budget_seconds = 5;  ///< wall clock, after the minimum of kMinRounds rounds
  std::uint64_t seed = 0;
  Progress* progress = nullptr;  ///< borrowed: where the rank is is told there
};

/// Loads at which the expert phase is measured: 0, then 1, 2, 4, .. tokens on every expert of the
/// rank, with the sizes at which the CPU kernel starts another chunk, up to max_load.
[[nodiscard]] std::vector<std::int64_t> profile_knots(std::int64_t max_load, int slots);

/// Collective: all ranks measure their own expert phase at every knot, at the same time, in random
/// order, repeated until the budget is spent. The load is spread evenly over a rank's experts; the
/// layers take turns so that weights come from memory as they do in a run. Rank 0 gets the profile
/// of all ranks, the others an empty one. `layers` must have a step loaded and a placement in use.
[[nodiscard]] Profile measure_profile(const Comm& comm, Device& device, const ModelShape& model,
                                      MoeLayers& layers, ExpertStore& store,
                                      const Placement& placement, const ProfileOptions& options);

}  // namespace gembench
