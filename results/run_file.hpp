#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "placement/cost/placement.hpp"
#include "placement/speeds/profile.hpp"
#include "results/quantities.hpp"
#include "results/state_sample.hpp"

/// The content of results.h5 as values. results/SCHEMA.md is the contract; this mirrors it.
namespace gembench::inline results {

inline constexpr std::string_view kRunSchema = "gembench-results";
inline constexpr std::string_view kRunSchemaVersion = "2.10.0";

/// The size of each dimension.
struct RunShape {
  int placements = 0;
  int steps = 0;  ///< measured steps; warm-up is not stored
  int layers = 0;
  int ranks = 0;
  int experts = 0;
  int slots = 0;
  int segments = 0;
};

/// The model's numbers that rates need.
struct RunModel {
  int topk = 0;
  int shared = 0;  ///< shared experts
  int hidden = 0;
  int ffn = 0;
  int row_bytes = 0;  ///< payload of one token to one rank
};

/// Where a rank ran. -1 = unknown (files before 2.2.0).
struct NodePlace {
  int node = -1;  ///< nodes are numbered in the order of their first ranks
  int local_rank = -1;
};

/// The offset from a rank's start_time to rank 0's clock, and its largest error. Seconds.
struct ClockReading {
  double offset = std::numeric_limits<double>::quiet_NaN();
  double error = std::numeric_limits<double>::quiet_NaN();
};

/// The state of a rank's GPU as it reported it. NaN or -1 = not reported.
struct GpuReading {
  double clock = std::numeric_limits<double>::quiet_NaN();         ///< Hz, of the multiprocessors
  double memory_clock = std::numeric_limits<double>::quiet_NaN();  ///< Hz
  double power = std::numeric_limits<double>::quiet_NaN();         ///< W
  double temperature = std::numeric_limits<double>::quiet_NaN();   ///< degree Celsius
  std::int64_t throttle_reasons = -1;                              ///< NVML's bit mask
};

/// A rank's GPU while steps were measured, from readings many times a second. NaN or -1 = not
/// reported.
struct GpuUse {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double clock_min = kNone, clock_mean = kNone, clock_max = kNone;  ///< Hz, of the multiprocessors
  double power_min = kNone, power_mean = kNone, power_max = kNone;  ///< W
  double temperature_min = kNone, temperature_mean = kNone, temperature_max = kNone;  ///< degree C
  double energy = kNone;   ///< J, from the first reading to the last
  double seconds = kNone;  ///< from the first reading to the last
  std::int64_t readings = -1;
  std::int64_t throttle_reasons = -1;  ///< NVML's bit mask: all that any reading named
};

/// Disturbances of a rank's CPU, measured by pieces of fixed work. NaN = not measured.
struct QuietReading {
  double quantum = std::numeric_limits<double>::quiet_NaN();   ///< s, the fastest piece
  double lost = std::numeric_limits<double>::quiet_NaN();      ///< share of the wall time
  double lost_cpu = std::numeric_limits<double>::quiet_NaN();  ///< share of the thread's CPU time
  double longest_pause = std::numeric_limits<double>::quiet_NaN();  ///< s
};
/// How quiet the machine is at one moment, outside of the measured steps.
struct QuietState {
  std::vector<QuietReading> ranks;  ///< [rank]; empty: not known
  /// Time between the first and the last rank that leaves a barrier, s.
  double barrier_skew_median = std::numeric_limits<double>::quiet_NaN();
  double barrier_skew_p99 = std::numeric_limits<double>::quiet_NaN();
};
/// What happened on a rank's CPUs from the first segment to the last. NaN = unknown.
struct QuietUse {
  double switches = std::numeric_limits<double>::quiet_NaN();    ///< involuntary, per measured step
  double steal = std::numeric_limits<double>::quiet_NaN();       ///< share taken by the hypervisor
  double other_work = std::numeric_limits<double>::quiet_NaN();  ///< share used by no rank
  double pressure = std::numeric_limits<double>::quiet_NaN();    ///< share of the time, some waited
};

/// Consecutive measured steps of one placement, between two switches; they are gathered, checked
/// and written together. The segments of a run in execution order are its schedule.
struct Segment {
  int placement = 0;
  int first_step = 0;
  int steps = 0;
  int block = 0;  ///< index of the block of steps that all placements run side by side
  bool operator==(const Segment&) const = default;
};

/// Everything known before the first measured step.
struct RunInfo {
  RunShape shape;
  RunModel model;
  std::vector<Segment> segments;
  std::vector<Placement> placements;  ///< names are Placement::strategy, labels below
  std::vector<std::string> labels;    ///< [placement] unique, e.g. "linear", "linear#2"
  std::vector<double>
      predicted_layer_time;  ///< [placement][step][layer] s to the barrier; or empty
  /// Predicted by the cost model `per-expert`: the measurement shows which predicts better.
  std::vector<double> predicted_by_experts;
  std::vector<std::int32_t> expert_tokens;  ///< [step][layer][expert] of the measured steps
  Profile profile;                          ///< ranks = 0: none
  std::vector<double> slowdown;             ///< [rank] emulated; 1 = none; empty: all 1
  /// [step][rank] the same if it changes during the run; empty: it does not change.
  std::vector<double> slowdown_by_step;
  bool adapts = false;         ///< some placement changes during the run
  std::string check = "none";  ///< CheckRecord::mode
  std::string clock;           ///< "wall", "cpu-time" or "gpu-stamps"
  std::string config;          ///< JSON, all options as used
  std::string command_line;
  std::uint64_t seed = 0;
  std::map<std::string, std::string> facts;  ///< other root attributes: program, device, ...
  /// /environment: per-rank strings by name ("host", "cpus", "device_name"), each of size ranks.
  std::map<std::string, std::vector<std::string>> rank_facts;
  std::vector<NodePlace> topology;     ///< [rank]; empty: not known
  std::vector<GpuReading> gpu_before;  ///< [rank], before the first step; empty: no GPUs
  QuietState quiet_before;             ///< before the first step
};

/// What changed in an adapting placement after a segment. -1 or NaN = nothing.
struct ReplanRecord {
  enum class Reason { none = -1, speeds, loads, both };
  Reason reason = Reason::none;
  std::int64_t experts_moved = -1;
  std::int64_t bytes_moved = -1;                                   ///< between ranks, all layers
  double move_seconds = std::numeric_limits<double>::quiet_NaN();  ///< wall clock, slowest rank
  double planning_seconds = std::numeric_limits<double>::quiet_NaN();  ///< wall clock of rank 0
  double predicted_gain = std::numeric_limits<double>::quiet_NaN();    ///< s a step
};

/// What happened between a segment's steps. -1 or NaN = not done.
struct SegmentNotes {
  // The switch to the segment's placement: weights that were actually sent.
  std::int64_t experts_moved = -1;
  std::int64_t bytes_moved = -1;                                   ///< between ranks, all layers
  double move_seconds = std::numeric_limits<double>::quiet_NaN();  ///< wall clock, slowest rank
  // The comparison with a reference after it.
  std::int64_t checked_tokens = -1;
  double check_error = std::numeric_limits<double>::quiet_NaN();  ///< as CheckRecord::worst_error
  int check_passed = -1;                                          ///< 0 or 1
  ReplanRecord replan;
  /// The measured steps with what is between them (loading the next one), by rank 0's clock since
  /// the epoch of start_time.
  double begin = std::numeric_limits<double>::quiet_NaN();
  double end = std::numeric_limits<double>::quiet_NaN();
  int job = -1;  ///< StateSample::job
};

/// The readings of a segment. An empty array was not measured.
struct SegmentRecord {
  int segment = 0;  ///< index in RunInfo::segments
  Segment at;
  std::array<std::vector<double>, kTimes.size()> time;          ///< [step][layer][rank]
  std::array<std::vector<std::int64_t>, kCounts.size()> count;  ///< [step][layer][rank]
  std::array<std::vector<double>, kGpuTimes.size()> gpu_time;   ///< [step][layer][rank]; without
                                                                ///< GPUs they are not stored
  std::vector<double> step_time;                                ///< [step][rank] s
  std::vector<std::int64_t> order;                              ///< [step] global execution index
  /// [layer][rank][slot] the placement of the segment; only if some placement adapts.
  std::vector<std::int32_t> slots;
  SegmentNotes notes;
  /// [rank] read from the GPUs since the segment before, or since the start; empty: no GPUs.
  std::vector<std::vector<StateSample>> states = {};
};

/// The verdict of --check.
struct CheckRecord {
  std::string mode;  ///< "none", "last", "all"
  std::int64_t checked_tokens = 0;
  double worst_error = 0;  ///< relative; see SCHEMA.md
  double tolerance = 0;
  bool passed = true;
  std::string message;  ///< what failed first: layer, token, error; empty when passed
};

/// Untimed steps before what is measured, until the devices are steady.
struct SoakRecord {
  double seconds = std::numeric_limits<double>::quiet_NaN();  ///< it took; NaN: there was none
  std::int64_t steps = -1;
  int steady = -1;            ///< 0 or 1: how it ended
  std::string unsteady = {};  ///< what was not, for people
};

/// Results that are known only at the end.
struct RunEnd {
  std::vector<std::int64_t> bytes_pair;  ///< [placement][layer][src][dst] dispatch payload, bytes
  CheckRecord check;
  std::vector<double> profile_after;  ///< [rank][load_point] s, the profile taken again; or empty
  /// [rank] before the first and after the last step since the run's last start; empty: not known.
  std::vector<ClockReading> clocks_before, clocks_after;
  std::vector<GpuReading> gpu_after;   ///< [rank], after the last step; empty: no GPUs
  QuietState quiet_after;              ///< after the last step
  std::vector<QuietUse> quiet_during;  ///< [rank] since the run's last start; empty: not known
  std::string stopped;                 ///< why measuring ended, for people; empty: not known
  /// Wall-clock seconds of rank 0 by part of the run: "profile", "plan", "measure", "write", ...
  std::map<std::string, double> seconds;
  /// [rank] since the run's last start; empty: no GPUs, or not known.
  std::vector<GpuUse> gpu_during = {};
  /// [rank] read from the GPUs since the last segment.
  std::vector<std::vector<StateSample>> states = {};
  SoakRecord soak = {}, soak_profile = {};  ///< before the steps, before the profile
};

}  // namespace gembench::inline results
