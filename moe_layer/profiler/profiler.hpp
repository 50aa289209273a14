#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "moe_layer/layers.hpp"
#include "moe_layer/profiler/received_load.hpp"
#include "placement/speeds/profile.hpp"
#include "placement/speeds/profile_samples.hpp"

namespace gembench::inline profiler {

/// How a profile is measured.
struct ProfileOptions {
  Clock clock = Clock::wall;
  double slowdown = 1;        ///< of this rank, emulated
  std::int64_t max_load = 0;  ///< largest load in tokens that a plan may ask about
  std::int64_t max_rows = 0;  ///< distinct tokens a rank can receive
  int slots = 0;              ///< experts per rank
  /// Distinct tokens of as many (token, expert) pairs that a rank receives in a run.
  double rows_per_pair = 1;
  int step = 0;  ///< whose inputs are computed on
  /// This rank's routed points; as many on all ranks.
  std::vector<ReceivedLoad> routed;
  double budget_seconds = 5;  ///< wall clock; three rounds and a warm-up are measured in any case
  double tolerance = kTight;
  /// Loads to measure again: no others are looked for, and no active sweep is made.
  std::vector<std::int64_t> load_points;
  std::uint64_t seed = 0;
  /// Called by every rank before every round, if there; may throw on all of them.
  std::function<void()> before_round;
  Progress* progress = nullptr;   ///< borrowed: the rank reports its progress there
  std::size_t most_rounds = 200;  ///< bounds the file
};

/// A profile and how it was measured.
struct MeasuredProfile {
  Profile profile;
  ProfileSamples samples;
  int warmup_rounds = 0;  ///< discarded
  bool warm = false;      ///< the last two of them agreed on every rank
  bool tight = false;     ///< every median is within the tolerance; else the budget ended first
  double seconds = 0;     ///< wall clock of all of it
};

/// Loads of the coarse sweep: 0, then 1, 2, 4, ... tokens on every expert of the rank, up to
/// max_load.
[[nodiscard]] std::vector<std::int64_t> profile_load_points(std::int64_t max_load, int slots);

/// The loads and numbers of active experts of the other sweep, without latencies: as in decode, a
/// token for every expert, and 16 for each, at most as many as a rank receives rows, on 1, 2, 4,
/// ... of its experts; powers of two. Empty for a single expert.
[[nodiscard]] ActiveSweep active_points(const ProfileOptions& options);

/// Collective: all ranks measure their own expert phase, at the same time and at the same loads;
/// rank 0 gets the profile of all, the others an empty one.
///
/// Warm-up rounds are repeated until two in a row agree within 2 % (at most 5, and a fifth of the
/// budget). Then load points are added to the coarse sweep where LoadPointSearch wants them on any
/// rank, for up to half of the budget. Then the points whose median is not yet tight on every rank
/// are measured, in random order, round after round, until none is left or the budget would not
/// hold another. Before the last tenth of it, load points at which some rank's latency falls beyond
/// noise are measured again. `weights`: placements with as many slots a rank, held by the store.
/// Their layers, and slots where few are active, take turns so that weights come from memory as
/// they do in a run. `layers` must have a step loaded and a placement in use.
[[nodiscard]] MeasuredProfile measure_profile(const Comm& comm, Device& device,
                                              const ModelShape& model, MoeLayers& layers,
                                              const ExpertStore& store,
                                              std::span<const Placement> weights,
                                              const ProfileOptions& options);

}  // namespace gembench::inline profiler
