#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "results/hdf5/hdf5.hpp"

/// The table of quantities: what is measured, and how it is summarised per placement. Gathering,
/// datasets, `compare`'s table, CSV and JSON, SCHEMA.md and OUTPUT.md are made from these rows.
namespace gembench::inline results {

/// Measured per (placement, step, layer, rank).
struct Measured {
  h5::Variable stored;
  std::string_view since;  ///< schema version; files before it lack the dataset
};
constexpr Measured measured(std::string_view key, h5::Type type, std::string_view unit,
                            std::string_view meaning, std::string_view since = "") {
  return {{key,
           type,
           h5::Layout::whole,
           h5::Cells::unmeasured,
           {"placement", "step", "layer", "rank"},
           unit,
           meaning},
          since};
}

/// NaN = not measured.
inline constexpr std::array kTimes{
    measured("start_time", h5::Type::float64, "s",
             "t0 since the run's epoch, on the rank's own clock"),
    measured("start_wait", h5::Type::float32, "s", "waiting at the start barrier before t0"),
    measured("route_time", h5::Type::float32, "s", "t1 - t0: norm, router, top-k"),
    measured("dispatch_time", h5::Type::float32, "s",
             "t2 - t1: tokens to the ranks of their experts"),
    measured("expert_time", h5::Type::float32, "s", "t3 - t2: the experts"),
    measured("barrier_wait", h5::Type::float32, "s", "t4 - t3: waiting for the slowest rank"),
    measured("combine_time", h5::Type::float32, "s", "t5 - t4: results back, weighted sum"),
    measured("layer_time", h5::Type::float32, "s", "t5 - t0: the whole layer")};

/// -1 = not measured.
inline constexpr std::array kCounts{
    measured("assignments", h5::Type::int32, "1", "(token, expert) pairs computed on the rank"),
    measured("active_experts", h5::Type::int32, "1", "experts of the rank with at least one token"),
    measured("bytes_sent", h5::Type::int64, "byte", "dispatch payload sent to other ranks"),
    measured("metadata_bytes", h5::Type::int64, "byte",
             "routing metadata sent to other ranks in dispatch"),
    measured("inter_node_bytes", h5::Type::int64, "byte",
             "the part of `bytes_sent` that went to other nodes", "2.2.0")};

/// Timed by GPU events, in the order of the phases; only in runs on GPUs. NaN = not measured.
inline constexpr std::array kGpuTimes{
    measured("gpu/route_time", h5::Type::float32, "s", "routing by the GPU's events", "2.2.0"),
    measured("gpu/dispatch_time", h5::Type::float32, "s", "dispatch by the GPU's events", "2.2.0"),
    measured("gpu/expert_time", h5::Type::float32, "s", "experts by the GPU's events", "2.2.0"),
    measured("gpu/combine_time", h5::Type::float32, "s", "combine by the GPU's events", "2.2.0")};

/// How a placement's number is computed from measured quantities.
struct Reduced {
  enum class How {
    apart,   ///< by code of its own in harness/report/comparison.cpp
    mean,    ///< over ranks, layers and steps
    a_step,  ///< sum over ranks and layers, mean over steps
    ratio    ///< sum of `of` / sum of `by`
  } how = How::apart;
  std::string_view of, by = {};  ///< measured quantities
};
/// Where and how `compare`'s two tables show a number, under two lines of heading.
struct Column {
  enum class Table { none, steps, rates } table = Table::none;
  std::string_view over, heading;
  std::string_view unit;  ///< shown, `factor` of the row's unit
  double factor = 1;
  int digits = 0;  ///< after the decimal point
};
enum class NumberKind {
  real,
  known,  ///< with a 95 % interval
  whole   ///< a count: no fraction in CSV
};

/// One number of a placement: in `compare`'s JSON and CSV, and as summary/KEY in the file.
struct Summarised {
  std::string_view key, unit, meaning;
  Column column = {};
  NumberKind kind = NumberKind::real;
  Reduced reduced = {};
};
constexpr Column in_us(std::string_view over, std::string_view heading) {
  return {Column::Table::steps, over, heading, "us", 1e6, 0};
}
constexpr Column in_percent(std::string_view over, std::string_view heading = "%") {
  return {Column::Table::steps, over, heading, "%", 100, 1};
}
constexpr Column in_rates(std::string_view over, std::string_view heading, std::string_view unit,
                          double factor, int digits) {
  return {Column::Table::rates, over, heading, unit, factor, digits};
}
constexpr Column in_gb_per_s(std::string_view over) {
  return in_rates(over, "GB/s", "GB/s", 1e-9, 3);
}
constexpr Column in_mb_a_step(std::string_view over) {
  return in_rates(over, "MB/step", "MB", 1e-6, 3);
}
constexpr Reduced mean_of(std::string_view measured) {
  return {Reduced::How::mean, measured};
}
constexpr Reduced a_step_of(std::string_view measured) {
  return {Reduced::How::a_step, measured};
}
constexpr Reduced ratio_of(std::string_view measured, std::string_view by) {
  return {Reduced::How::ratio, measured, by};
}

/// In the order of JSON, CSV and the tables.
inline constexpr std::array kSummaries{
    Summarised{"steps", "1", "measured steps", {}, NumberKind::whole},
    Summarised{"step_mean", "s",
               "all layers of a step, slowest rank, `--non-moe-time` included: mean of the "
               "measured steps",
               in_us("step time (us)", "mean"), NumberKind::known},
    Summarised{"step_p50", "s", "median of the steps' times", in_us("step time (us)", "p50"),
               NumberKind::known},
    Summarised{"step_p90", "s", "90th percentile of the steps' times",
               in_us("step time (us)", "p90"), NumberKind::known},
    Summarised{"step_p99", "s", "99th percentile of the steps' times",
               in_us("step time (us)", "p99"), NumberKind::known},
    Summarised{"wait_mean", "s", "waiting at the barriers of a step, mean over ranks and steps",
               in_us("barrier wait", "mean us"), NumberKind::known},
    Summarised{"wait_share", "1", "share of `step_mean` that is `wait_mean`",
               in_percent("barrier wait"), NumberKind::known},
    Summarised{"straggler",
               "1",
               "the rank that arrives last most often",
               {Column::Table::steps, "straggler", "rank", "1"},
               NumberKind::whole},
    Summarised{
        "straggler_share", "1",
        "share of (step, layer) in which `straggler` arrives last; of every rank: `last_share`",
        in_percent("straggler"), NumberKind::known},
    Summarised{"aggregate_imbalance",
               "1",
               "max/mean over ranks of the tokens of the whole run, mean over layers",
               {Column::Table::steps, "imbalance", "total", "1", 1, 3}},
    Summarised{"step_imbalance",
               "1",
               "max/mean over ranks of the tokens of a step, mean over layers and steps",
               {Column::Table::steps, "imbalance", "step", "1", 1, 3}},
    Summarised{"predicted", "s",
               "route + experts of the slowest rank, summed over layers, mean over steps, as "
               "predicted by the paper's cost model `sum`; the column uses the model used for "
               "planning, which its heading names",
               in_us("us to barriers", "predicted")},
    Summarised{"predicted_by_experts", "s", "`predicted` by the cost model `per-expert`"},
    Summarised{"measured", "s",
               "the time that `predicted` predicts, as measured; `err %` is predicted / measured - "
               "1; the last column has it for the model that was not used for planning",
               in_us("us to barriers", "measured")},
    Summarised{"moved_bytes",
               "byte",
               "expert weights sent between ranks at a switch to the placement, mean (`switch to`, "
               "in MiB); if placements alternate step by step no weights move, and this is "
               "measured at one switch to and from the first placement before the first step",
               {},
               NumberKind::whole},
    Summarised{"moved_seconds", "s",
               "wall clock of such a switch (see `moved_bytes`), slowest rank, mean"},
    Summarised{"replicas", "1",
               "replicas beyond the first of each expert, mean over layers, when the run begins "
               "(`replicas of a layer`)"},
    Summarised{"tokens_per_s", "1/s", "tokens of a step divided by its time",
               in_rates("", "tokens/s", "1/s", 1, 1)},
    Summarised{"expert_flops", "FLOP/s",
               "of one rank in its expert phase: 6 x hidden x ffn for every (token, expert) pair, "
               "shared experts included",
               in_rates("experts", "TFLOP/s", "TFLOP/s", 1e-12, 4)},
    Summarised{"active_experts", "1", "experts of a rank with at least one token in a layer, mean",
               in_rates("experts", "active", "1", 1, 1), NumberKind::real,
               mean_of("active_experts")},
    Summarised{"distinct_ranks", "1",
               "ranks that a token is sent to in a layer, its own included, mean; unknown for "
               "hierarchical dispatch, which forwards tokens",
               in_rates("distinct", "ranks", "1", 1, 2)},
    Summarised{"dispatch_bytes_per_s", "byte/s",
               "of one rank: payload to other ranks / dispatch time, packing included (10^9; "
               "`algbw` of `nccl-tests`)",
               in_gb_per_s("dispatch"), NumberKind::real, ratio_of("bytes_sent", "dispatch_time")},
    Summarised{"combine_bytes_per_s", "byte/s", "of one rank: payload sent back / combine time",
               in_gb_per_s("combine"), NumberKind::real, ratio_of("bytes_sent", "combine_time")},
    Summarised{"payload_bytes", "byte", "dispatched between ranks in a step, all layers",
               in_mb_a_step("payload"), NumberKind::real, a_step_of("bytes_sent")},
    Summarised{"inter_node_bytes", "byte", "the part of the payload that went to other nodes",
               in_mb_a_step("to nodes"), NumberKind::real, a_step_of("inter_node_bytes")},
    Summarised{"metadata_bytes", "byte",
               "routing metadata dispatched between ranks in a step, all layers",
               in_mb_a_step("metadata"), NumberKind::real, a_step_of("metadata_bytes")},
    Summarised{"energy_per_token", "J",
               "of all GPUs for a token that passes all layers, in the placement's blocks, what is "
               "between their steps included; unknown without GPUs and where blocks have fewer "
               "than 10 kept readings of the GPUs' state"},
    Summarised{"energy_per_assignment", "J", "the same for a (token, expert) pair"}};

/// Bytes of one cell of every array of a table.
constexpr std::size_t cell_bytes(const auto& quantities) {
  std::size_t bytes = 0;
  for (const Measured& quantity : quantities) {
    const h5::Type type = quantity.stored.type;
    bytes += type == h5::Type::float64 || type == h5::Type::int64 ? 8 : 4;
  }
  return bytes;
}

/// Index of a key in a table; the table's size if it has no such key.
template <class Rows>
constexpr std::size_t place_in(const Rows& rows, std::string_view key) {
  const auto of = [](const auto& row) {
    if constexpr (requires { row.stored; }) {
      return row.stored.name;
    } else {
      return row.key;
    }
  };
  return static_cast<std::size_t>(std::ranges::find(rows, key, of) - rows.begin());
}

// Indices by key, for code that handles one quantity. An unknown key does not compile.
consteval std::size_t time_at(std::string_view key) {
  const std::size_t at = place_in(kTimes, key);
  return at < kTimes.size() ? at : throw "no such time";
}
consteval std::size_t count_at(std::string_view key) {
  const std::size_t at = place_in(kCounts, key);
  return at < kCounts.size() ? at : throw "no such count";
}
/// A number of a placement.
struct SummaryKey {
  std::size_t place;
  consteval SummaryKey(const char* key) : place(place_in(kSummaries, key)) {
    if (place == kSummaries.size()) throw "no such number of a placement";
  }
};

}  // namespace gembench::inline results
