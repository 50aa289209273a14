#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "results/hdf5/hdf5.hpp"
#include "results/run_file.hpp"

/// The datasets of results.h5 for writer and reader, except those of quantities.hpp; SCHEMA.md
/// describes them for people.
namespace gembench::schema {

using h5::Cells;
using h5::Layout;
using h5::Type;
using h5::Variable;

using Dims = std::array<std::string_view, 4>;

/// Where every cell holds a value, and where some may stay NaN or -1.
constexpr Variable complete(std::string_view name, Type type, const Dims& dims,
                            std::string_view units, std::string_view meaning,
                            Layout layout = Layout::whole) {
  return {name, type, layout, Cells::complete, dims, units, meaning};
}
constexpr Variable unmeasured(std::string_view name, Type type, const Dims& dims,
                              std::string_view units, std::string_view meaning,
                              Layout layout = Layout::whole) {
  return {name, type, layout, Cells::unmeasured, dims, units, meaning};
}

constexpr Variable scale(std::string_view name, std::string_view dim, std::string_view meaning) {
  return complete(name, Type::int32, {dim}, "1", meaning);
}
/// Names of older files. Segments were called turns before 2.8.0 of results, load points knots
/// there and before 1.3.0 of profiles, and assignments were named after their tokens.
inline constexpr std::array<h5::Renamed, 4> kRenamed{
    h5::Renamed{"assignments", "tokens"}, h5::Renamed{"load_point", "knot"},
    h5::Renamed{"segments/segment", "turns/turn"}, h5::Renamed{"segments", "turns"}};

inline constexpr Variable kPlacement =
    complete("placement", Type::text, {"placement"}, "", "label");
inline constexpr Variable kStep = scale("step", "step", "measured step");
inline constexpr Variable kLayer = scale("layer", "layer", "MoE layer");
inline constexpr Variable kRank = scale("rank", "rank", "MPI rank");
inline constexpr Variable kExpert = scale("expert", "expert", "expert of a layer");
inline constexpr Variable kSlot = scale("slot", "slot", "slot of a rank");
inline constexpr Variable kSource = scale("src", "src", "sending rank");
inline constexpr Variable kTarget = scale("dst", "dst", "receiving rank");
inline constexpr Variable kSegment =
    scale("segments/segment", "segment", "segment of a placement, as they ran");
inline constexpr Variable kLoadPoint =
    complete("load_point", Type::int64, {"load_point"}, "1", "assignments to the rank");

inline constexpr Variable kStepTime =
    unmeasured("step_time", Type::float32, {"placement", "step", "rank"}, "s", "whole step");
inline constexpr Variable kOrder =
    unmeasured("order", Type::int32, {"placement", "step"}, "1", "global execution index");
inline constexpr Variable kBlock =
    unmeasured("block", Type::int32, {"placement", "step"}, "1",
               "block of steps that all placements run side by side");
inline constexpr Variable kExpertTokens =
    complete("expert_tokens", Type::int32, {"step", "layer", "expert"}, "1", "tokens of the expert",
             Layout::chunked);
inline constexpr Variable kPredicted =
    unmeasured("predicted_layer_time", Type::float32, {"placement", "step", "layer"}, "s",
               "predicted time to the barrier", Layout::chunked);
inline constexpr Variable kPredictedByExperts =
    unmeasured("predicted_by_experts", Type::float32, {"placement", "step", "layer"}, "s",
               "the same by the cost model per-expert", Layout::chunked);
inline constexpr Variable kBytesPair =
    unmeasured("bytes_pair", Type::int64, {"placement", "layer", "src", "dst"}, "byte",
               "dispatch payload; src = dst stayed on the rank");
inline constexpr Variable kSlots =
    complete("slots", Type::int32, {"placement", "layer", "rank", "slot"}, "1",
             "expert in the slot, -1 = empty");

constexpr Variable per_rank(std::string_view name, std::string_view units,
                            std::string_view meaning) {
  return complete(name, Type::float64, {"rank"}, units, meaning);
}
constexpr Variable curve(std::string_view name, std::string_view meaning) {
  return complete(name, Type::float64, {"rank", "load_point"}, "s", meaning);
}
inline constexpr Variable kSlowdown = per_rank("slowdown", "1", "emulated stretch, 1 = none");
inline constexpr Variable kSlowdownByStep =
    complete("slowdown_by_step", Type::float64, {"step", "rank"}, "1",
             "emulated stretch where it changes in the run");
inline constexpr Variable kProfileLatency = curve("profile_latency", "median expert phase");
inline constexpr Variable kProfileAfter =
    unmeasured("profile_after", Type::float64, {"rank", "load_point"}, "s",
               "median expert phase, measured again after the run");
inline constexpr Variable kProfileSpread = curve("profile_spread", "interquartile range");
inline constexpr Variable kProfileOverhead =
    per_rank("profile_overhead", "s", "time per layer that no placement changes");
inline constexpr Variable kProfileSlowdown =
    per_rank("profile_slowdown", "1", "emulated stretch contained in the profile");

/// Of an active sweep, since 2.4.0.
inline constexpr Variable kActiveLoad =
    complete("active_load", Type::int64, {"active_load"}, "1", "assignments to the rank");
inline constexpr Variable kActive = scale("active", "active", "experts that share them");
inline constexpr Variable kProfileActive =
    complete("profile_active_latency", Type::float64, {"rank", "active_load", "active"}, "s",
             "median expert phase with few experts active");
inline constexpr Variable kRouted = scale("routed", "routed", "load as the trace routes it");
inline constexpr Variable kRoutedSlot = scale("routed_slot", "routed_slot", "profiled expert");
constexpr Variable routed_latency(std::string_view name) {
  return complete(name, Type::float64, {"rank", "routed"}, "s",
                  "median expert phase under a load as the trace routes it");
}
constexpr Variable routed_tokens(std::string_view name) {
  return complete(name, Type::int32, {"rank", "routed", "routed_slot"}, "1",
                  "tokens of each expert in that load");
}
inline constexpr Variable kProfileRouted = routed_latency("profile_routed_latency");
inline constexpr Variable kProfileRoutedTokens = routed_tokens("profile_routed_tokens");

constexpr Variable place_of_rank(std::string_view name, std::string_view meaning) {
  return complete(name, Type::int32, {"rank"}, "1", meaning);
}
inline constexpr Variable kNode = place_of_rank("topology/node", "node of the rank");
inline constexpr Variable kLocalRank =
    place_of_rank("topology/local_rank", "number of the rank on its node");
constexpr Variable of_clock(std::string_view name, std::string_view meaning) {
  return unmeasured(name, Type::float64, {"rank"}, "s", meaning);
}
inline constexpr Variable kOffsetBefore =
    of_clock("topology/clock_offset_before", "added to start_time it is on rank 0's clock");
inline constexpr Variable kErrorBefore =
    of_clock("topology/clock_error_before", "largest error of clock_offset_before");
inline constexpr Variable kOffsetAfter =
    of_clock("topology/clock_offset_after", "clock_offset_before estimated again after the run");
inline constexpr Variable kErrorAfter =
    of_clock("topology/clock_error_after", "largest error of clock_offset_after");

constexpr Variable fact_of_rank(std::string_view name) {
  return complete(name, Type::text, {"rank"}, "", "fact about the rank");
}
/// One number reported by a GPU, before and after the run.
struct GpuNumber {
  Variable before, after;
  double GpuReading::*member = nullptr;
};
constexpr Variable of_gpu(std::string_view name, Type type, std::string_view units,
                          std::string_view meaning) {
  return unmeasured(name, type, {"rank"}, units, meaning);
}
constexpr GpuNumber gpu_number(std::string_view before, std::string_view after,
                               std::string_view units, std::string_view meaning,
                               double GpuReading::*member) {
  return {of_gpu(before, Type::float64, units, meaning),
          of_gpu(after, Type::float64, units, meaning), member};
}
inline constexpr std::array<GpuNumber, 4> kGpuNumbers{
    gpu_number("gpu/clock_before", "gpu/clock_after", "Hz", "clock of the multiprocessors",
               &GpuReading::clock),
    gpu_number("gpu/memory_clock_before", "gpu/memory_clock_after", "Hz", "clock of the memory",
               &GpuReading::memory_clock),
    gpu_number("gpu/power_before", "gpu/power_after", "W", "power drawn", &GpuReading::power),
    gpu_number("gpu/temperature_before", "gpu/temperature_after", "degC", "temperature",
               &GpuReading::temperature)};
inline constexpr Variable kThrottleBefore = of_gpu("gpu/throttle_reasons_before", Type::int64, "1",
                                                   "why the clock is held down, NVML bits");
inline constexpr Variable kThrottleAfter =
    of_gpu("gpu/throttle_reasons_after", Type::int64, "1", "why the clock is held down, NVML bits");

/// While steps were measured, since 2.9.0.
struct GpuUseNumber {
  Variable variable;
  double GpuUse::*member = nullptr;
};
constexpr GpuUseNumber gpu_use(std::string_view name, std::string_view units,
                               std::string_view meaning, double GpuUse::*member) {
  return {of_gpu(name, Type::float64, units, meaning), member};
}
inline constexpr std::array<GpuUseNumber, 11> kGpuUses{
    gpu_use("gpu/clock_min", "Hz", "lowest clock while steps were measured", &GpuUse::clock_min),
    gpu_use("gpu/clock_mean", "Hz", "mean of the readings", &GpuUse::clock_mean),
    gpu_use("gpu/clock_max", "Hz", "highest", &GpuUse::clock_max),
    gpu_use("gpu/power_min", "W", "lowest power while steps were measured", &GpuUse::power_min),
    gpu_use("gpu/power_mean", "W",
            "energy over read_seconds; of the readings where that is unknown", &GpuUse::power_mean),
    gpu_use("gpu/power_max", "W", "highest", &GpuUse::power_max),
    gpu_use("gpu/temperature_min", "degC", "lowest temperature while steps were measured",
            &GpuUse::temperature_min),
    gpu_use("gpu/temperature_mean", "degC", "mean of the readings", &GpuUse::temperature_mean),
    gpu_use("gpu/temperature_max", "degC", "highest", &GpuUse::temperature_max),
    gpu_use("gpu/energy", "J", "energy from the first reading to the last", &GpuUse::energy),
    gpu_use("gpu/read_seconds", "s", "time from the first reading to the last", &GpuUse::seconds)};
inline constexpr Variable kGpuReadings =
    of_gpu("gpu/readings", Type::int64, "1", "readings while steps were measured");
inline constexpr Variable kThrottleDuring = of_gpu("gpu/throttle_reasons_during", Type::int64, "1",
                                                   "all that any reading named, NVML bits");

/// How quiet the machine was, since 2.5.0.
constexpr Variable of_quiet(std::string_view name, std::string_view units,
                            std::string_view meaning) {
  return unmeasured(name, Type::float64, {"rank"}, units, meaning);
}
struct QuietNumber {
  Variable before, after;
  double QuietReading::*member = nullptr;
};
constexpr QuietNumber quiet_number(std::string_view before, std::string_view after,
                                   std::string_view units, std::string_view meaning,
                                   double QuietReading::*member) {
  return {of_quiet(before, units, meaning), of_quiet(after, units, meaning), member};
}
inline constexpr std::array<QuietNumber, 4> kQuietNumbers{
    quiet_number("quiet/quantum_before", "quiet/quantum_after", "s", "fastest piece of fixed work",
                 &QuietReading::quantum),
    quiet_number("quiet/lost_before", "quiet/lost_after", "1",
                 "share of the wall time lost against the fastest piece", &QuietReading::lost),
    quiet_number("quiet/lost_cpu_before", "quiet/lost_cpu_after", "1",
                 "share of the thread's CPU time lost against the fastest piece",
                 &QuietReading::lost_cpu),
    quiet_number("quiet/longest_pause_before", "quiet/longest_pause_after", "s",
                 "slowest piece beyond the fastest", &QuietReading::longest_pause)};
struct QuietUseNumber {
  Variable variable;
  double QuietUse::*member = nullptr;
};
inline constexpr std::array<QuietUseNumber, 4> kQuietUses{
    {{of_quiet("quiet/involuntary_switches", "1", "involuntary context switches per measured step"),
      &QuietUse::switches},
     {of_quiet("quiet/steal", "1", "share of the CPUs' time taken by the hypervisor"),
      &QuietUse::steal},
     {of_quiet("quiet/other_work", "1", "share of the CPUs' time used by no rank of the run"),
      &QuietUse::other_work},
     {of_quiet("quiet/pressure", "1", "share of the time in which some task waited for a CPU"),
      &QuietUse::pressure}}};
/// Attributes of the group quiet.
struct QuietSkew {
  std::string_view before, after;
  double QuietState::*member = nullptr;
};
inline constexpr std::array<QuietSkew, 2> kQuietSkews{
    {{"barrier_skew_median_before", "barrier_skew_median_after", &QuietState::barrier_skew_median},
     {"barrier_skew_p99_before", "barrier_skew_p99_after", &QuietState::barrier_skew_p99}}};

constexpr Variable segment(std::string_view name, Type type, Cells cells, std::string_view units,
                           std::string_view meaning) {
  return {name, type, Layout::whole, cells, {"segment"}, units, meaning};
}
inline constexpr Variable kSegmentPlacement =
    segment("segments/to_placement", Type::int32, Cells::complete, "1", "index of the placement");
inline constexpr Variable kSegmentFirst =
    segment("segments/first_step", Type::int32, Cells::complete, "1", "its first measured step");
inline constexpr Variable kSegmentSteps =
    segment("segments/steps", Type::int32, Cells::complete, "1", "measured steps");
inline constexpr Variable kSegmentBlock =
    segment("segments/in_block", Type::int32, Cells::complete, "1", "block of steps it belongs to");
inline constexpr Variable kMoveExperts =
    segment("segments/experts_moved", Type::int64, Cells::unmeasured, "1",
            "experts that changed their rank at the switch, all layers");
inline constexpr Variable kMoveBytes =
    segment("segments/bytes_moved", Type::int64, Cells::unmeasured, "byte",
            "weights sent between ranks at the switch, all layers");
inline constexpr Variable kMoveSeconds =
    segment("segments/move_seconds", Type::float64, Cells::unmeasured, "s",
            "the switch, wall clock of the slowest rank");
inline constexpr Variable kCheckTokens =
    segment("segments/checked_tokens", Type::int64, Cells::unmeasured, "1",
            "outputs compared with a reference after the segment");
inline constexpr Variable kCheckError = segment("segments/check_error", Type::float64,
                                                Cells::unmeasured, "1", "largest relative error");
inline constexpr Variable kCheckPassed = segment(
    "segments/check_passed", Type::int32, Cells::unmeasured, "1", "1 = within the tolerance");

/// Since 2.10.0.
inline constexpr Variable kSegmentBegin =
    segment("segments/begin", Type::float64, Cells::unmeasured, "s",
            "first measured step begins, rank 0's clock since the epoch of start_time");
inline constexpr Variable kSegmentEnd = segment("segments/end", Type::float64, Cells::unmeasured,
                                                "s", "last measured step has ended, likewise");
inline constexpr Variable kSegmentJob = segment("segments/job", Type::int32, Cells::unmeasured, "1",
                                                "start of the run that measured it, 0 = the first");

inline constexpr Variable kReplanReason = segment(
    "segments/replan_reason", Type::int32, Cells::unmeasured, "1",
    "why the placement changed after the segment: 0 speeds, 1 loads, 2 both; -1 it did not");
inline constexpr Variable kReplanExperts =
    segment("segments/replan_experts_moved", Type::int64, Cells::unmeasured, "1",
            "experts that changed their rank then, all layers");
inline constexpr Variable kReplanBytes =
    segment("segments/replan_bytes_moved", Type::int64, Cells::unmeasured, "byte",
            "weights sent between ranks for that");
inline constexpr Variable kReplanSeconds =
    segment("segments/replan_move_seconds", Type::float64, Cells::unmeasured, "s",
            "those moves, wall clock of the slowest rank");
inline constexpr Variable kReplanPlanning =
    segment("segments/replan_planning_seconds", Type::float64, Cells::unmeasured, "s",
            "finding them, wall clock of rank 0");
inline constexpr Variable kReplanGain = segment("segments/replan_predicted_gain", Type::float64,
                                                Cells::unmeasured, "s", "predicted, of a step");
inline constexpr std::array<const Variable*, 6> kReplans{&kReplanReason,   &kReplanExperts,
                                                         &kReplanBytes,    &kReplanSeconds,
                                                         &kReplanPlanning, &kReplanGain};
inline constexpr Variable kSegmentSlots =
    unmeasured("segments/slots", Type::int32, {"segment", "layer", "rank", "slot"}, "1",
               "expert in the slot in that segment, -1 = empty");

inline constexpr std::array<const Variable*, 9> kSegmentNotes{
    &kMoveExperts, &kMoveBytes,    &kMoveSeconds, &kCheckTokens, &kCheckError,
    &kCheckPassed, &kSegmentBegin, &kSegmentEnd,  &kSegmentJob};

/// What the schedule may hold.
constexpr bool lies_within(const Segment& segment, const RunShape& run) {
  return segment.placement >= 0 && segment.placement < run.placements && segment.first_step >= 0 &&
         segment.steps >= 1 && segment.steps <= run.steps - segment.first_step &&
         segment.block >= 0;
}

/// Attributes of the group timing.
inline constexpr std::array<std::string_view, 7> kTimedParts{"profile", "plan",  "soak", "measure",
                                                             "gather",  "write", "total"};

/// Attributes of the group soak, since 2.10.0: of the one before the steps and the one before the
/// profile.
struct SoakNames {
  std::string_view seconds, steps, steady, unsteady;
  SoakRecord RunEnd::*member = nullptr;
};
inline constexpr std::array<SoakNames, 2> kSoaks{
    {{"seconds", "steps", "steady", "unsteady", &RunEnd::soak},
     {"profile_seconds", "profile_steps", "profile_steady", "profile_unsteady",
      &RunEnd::soak_profile}}};

/// Attributes of the group model.
inline constexpr std::array<std::pair<std::string_view, int RunModel::*>, 5> kModel{
    {{"topk", &RunModel::topk},
     {"shared", &RunModel::shared},
     {"hidden", &RunModel::hidden},
     {"ffn", &RunModel::ffn},
     {"row_bytes", &RunModel::row_bytes}}};

/// Root attributes with a meaning of their own; RunInfo::facts holds the others.
inline constexpr std::array<std::string_view, 13> kReserved{
    "schema",        "schema_version", "completed",    "created",    "clock",
    "config",        "command_line",   "seed",         "strategies", "stopped",
    "profile_model", "profile_device", "profile_clock"};

}  // namespace gembench::schema
