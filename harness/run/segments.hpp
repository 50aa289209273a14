#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "harness/run/workload.hpp"
#include "moe_layer/layers.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// How placements alternate.
struct Alternation {
  int block = 1;          ///< steps of a placement in a row
  int warmup = 0;         ///< the first of them, run and discarded
  bool resident = false;  ///< the experts of all placements stay in memory: nothing moves
  std::string why;        ///< for people; empty: as asked, or step by step
};
/// By --block, --warmup and --resident. By default step by step if `fits` (the experts of all
/// placements are in memory at once) and no placement changes during the run, else in blocks of 8
/// steps, or fewer if there would be too few blocks for an interval.
[[nodiscard]] Alternation alternation_of(const SessionOptions& options, bool fits);
/// "placements alternate step by step, ...": for header and dry run.
[[nodiscard]] std::string describe(const Alternation& how);

/// Divides `steps` into blocks of at least `block` steps; in every block all placements run the
/// same steps, in an order drawn from the seed.
[[nodiscard]] std::vector<Segment> make_schedule(int steps, int block, int placements,
                                                 std::uint64_t seed);

/// One rank's readings of a segment.
struct SegmentReadings {
  std::vector<LayerReading> layers;  ///< [step][layer]
  std::vector<double> step_time;     ///< [step]
};

/// Collective: all ranks' readings of a segment, on rank 0 as the arrays that are stored. Start
/// times count from `epoch` on each rank's clock; `order` is the index of the segment's first step
/// in the run's sequence of steps.
[[nodiscard]] SegmentRecord gather_segment(const Comm& comm, const Segment& segment,
                                           const SegmentReadings& mine, double epoch,
                                           std::int64_t order);

/// On the cpu-time clock waits exist only between the ranks' readings: barrier_wait = the largest
/// route + expert of the step's layer minus the own, layer_time = the largest, step_time = their
/// sum. Fills these three in a gathered block.
void complete_cpu_time(SegmentRecord& block, const RunShape& shape);

/// [step][rank] what turns a start_time into one on rank 0's clock, from the clocks before every
/// step and after the last, [step + 1][rank]: those around a step, averaged. The error is the
/// larger of both and half of the drift in between.
[[nodiscard]] std::vector<ClockReading> clocks_in_steps(std::span<const ClockReading> around,
                                                        int ranks);

/// Raises errors, [rank], to the largest of those of `used`, [step][rank].
void raise_errors(std::vector<ClockReading>& clocks, std::span<const ClockReading> used);

/// On the clock gpu-stamps waits exist only between the ranks' readings too. barrier_wait = from a
/// rank's end of experts to the slowest rank's, or to its own last result if that comes first;
/// combine_time = from then to the layer's end; start_wait = how much later than the first rank a
/// step begins; step_time = from the first rank's begin to the own end. Fills these in a gathered
/// block. `clocks`: [step][rank], from clocks_in_steps().
void complete_stamps(SegmentRecord& block, const RunShape& shape,
                     std::span<const ClockReading> clocks);

/// Every assignment must have been computed on some rank, in every measured layer; otherwise an
/// error (failed) names the first such layer.
void require_all_tokens(const SegmentRecord& block, const RunShape& shape, const Trace& measured,
                        const std::string& placement);

}  // namespace gembench::inline run
