#include "harness/run/segments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/cli/placement_names.hpp"
#include "harness/statistics/interval.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline run {
namespace {

constexpr int kBlock = 8, kWarmup = 2;

/// [quantity of the file] the member of a reading that holds it. One that no reading has, and one
/// that is not stored, do not compile.
template <class T, std::size_t N>
consteval std::array<T LayerReading::*, N> members_of(
    const std::array<Measured, N>& stored, const std::array<NamedReading<T>, N>& readings) {
  std::array<T LayerReading::*, N> members{};
  for (std::size_t i = 0; i < N; ++i) {
    const auto found = std::ranges::find(readings, stored[i].stored.name, &NamedReading<T>::key);
    if (found == readings.end()) throw "no reading has this key";
    members[i] = found->member;
  }
  return members;
}
constexpr auto kTimeMembers = members_of(kTimes, kReadTimes);
constexpr auto kCountMembers = members_of(kCounts, kReadCounts);

}  // namespace

Alternation alternation_of(const SessionOptions& options, bool fits) {
  Alternation how;
  how.resident = options.resident;
  if (options.block) {
    how.block = *options.block;
    how.warmup = options.warmup.value_or(kWarmup);
    return how;
  }
  const bool changes = std::ranges::any_of(
      options.placements, [](const auto& name) { return parse_placement_name(name).is_dynamic(); });
  if (!changes && options.placements.size() > 1 && (fits || options.resident)) {
    how.resident = true;
    how.warmup = options.warmup.value_or(0);
    return how;
  }
  how.block = std::min(kBlock, options.steps / kLeastBlocks);
  if (how.block == 0) how.block = kBlock;  // no interval either way
  how.warmup = options.warmup.value_or(kWarmup);
  how.why = options.placements.size() == 1 ? "one placement"
            : changes                      ? "one of them changes meanwhile"
                                           : "the experts of all do not fit in memory";
  return how;
}

std::string describe(const Alternation& how) {
  return fmt::format(
      "placements alternate {}{}, {} discarded after a switch{}",
      how.block == 1 ? "step by step" : fmt::format("in blocks of {} steps", how.block),
      how.resident ? " with all experts in memory" : "",
      how.warmup == 0 ? "nothing"
                      : fmt::format("{} step{}", how.warmup, how.warmup == 1 ? "" : "s"),
      how.why.empty() ? "" : fmt::format(" ({})", how.why));
}

std::vector<Segment> make_schedule(int steps, int block, int placements, std::uint64_t seed) {
  std::vector<Segment> schedule;
  Random random(fold(seed, 0x6f726472));  // a stream of its own
  std::vector<int> order(sz(placements));
  std::iota(order.begin(), order.end(), 0);
  const int blocks = std::max(1, steps / block);
  for (int b = 0; b < blocks; ++b) {
    const int first = static_cast<int>(std::int64_t{steps} * b / blocks);
    const int end = static_cast<int>(std::int64_t{steps} * (b + 1) / blocks);
    random.shuffle(order);
    for (const int placement : order) {
      schedule.push_back({placement, first, end - first, b});
    }
  }
  return schedule;
}

SegmentRecord gather_segment(const Comm& comm, const Segment& segment, const SegmentReadings& mine,
                             double epoch, std::int64_t order) {
  std::vector<LayerReading> shifted = mine.layers;
  for (LayerReading& reading : shifted) reading.start_time -= epoch;
  const auto layers = comm.gather(std::span<const LayerReading>(shifted));
  const auto steps = comm.gather(std::span<const double>(mine.step_time));
  SegmentRecord block;
  if (comm.rank() != 0) return block;
  block.at = segment;
  const std::size_t ranks = sz(comm.size());
  const std::size_t readings = mine.layers.size();
  for (auto& values : block.time) values.resize(readings * ranks);
  for (auto& values : block.count) values.resize(readings * ranks);
  for (auto& values : block.gpu_time) values.resize(readings * ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t i = 0; i < readings; ++i) {
      const LayerReading& reading = layers[rank * readings + i];
      const std::size_t at = i * ranks + rank;
      for (std::size_t k = 0; k < kTimes.size(); ++k) {
        block.time[k][at] = reading.*kTimeMembers[k];
      }
      for (std::size_t k = 0; k < kGpuTimes.size(); ++k) {
        block.gpu_time[k][at] = reading.device_time[k];
      }
      for (std::size_t k = 0; k < kCounts.size(); ++k) {
        block.count[k][at] = reading.*kCountMembers[k];
      }
    }
  }
  block.step_time.resize(sz(segment.steps) * ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t step = 0; step < sz(segment.steps); ++step) {
      block.step_time[step * ranks + rank] = steps[rank * sz(segment.steps) + step];
    }
  }
  for (int step = 0; step < segment.steps; ++step) block.order.push_back(order + step);
  return block;
}

void complete_cpu_time(SegmentRecord& block, const RunShape& shape) {
  const std::size_t ranks = sz(shape.ranks), layers = sz(shape.layers);
  const auto& route = block.time[time_at("route_time")];
  const auto& expert = block.time[time_at("expert_time")];
  for (std::size_t step = 0; step < sz(block.at.steps); ++step) {
    double step_time = 0;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const std::size_t first = (step * layers + layer) * ranks;
      double slowest = 0;
      for (std::size_t at = first; at < first + ranks; ++at) {
        slowest = std::max(slowest, route[at] + expert[at]);
      }
      for (std::size_t at = first; at < first + ranks; ++at) {
        block.time[time_at("barrier_wait")][at] = slowest - (route[at] + expert[at]);
        block.time[time_at("layer_time")][at] = slowest;
      }
      step_time += slowest;
    }
    std::fill_n(&block.step_time[step * ranks], ranks, step_time);
  }
}

std::vector<ClockReading> clocks_in_steps(std::span<const ClockReading> around, int ranks) {
  std::vector<ClockReading> clocks;
  for (std::size_t i = sz(ranks); i < around.size(); ++i) {
    const ClockReading &before = around[i - sz(ranks)], &after = around[i];
    clocks.push_back(
        {(before.offset + after.offset) / 2,
         std::max(before.error, after.error) + std::abs(after.offset - before.offset) / 2});
  }
  return clocks;
}

void raise_errors(std::vector<ClockReading>& clocks, std::span<const ClockReading> used) {
  for (std::size_t i = 0; i < used.size(); ++i) {
    double& error = clocks[i % clocks.size()].error;
    error = std::fmax(error, used[i].error);  // NaN: not known so far
  }
}

void complete_stamps(SegmentRecord& block, const RunShape& shape,
                     std::span<const ClockReading> clocks) {
  const std::size_t ranks = sz(shape.ranks), layers = sz(shape.layers);
  const auto &start = block.time[time_at("start_time")], &route = block.time[time_at("route_time")],
             &dispatch = block.time[time_at("dispatch_time")],
             &experts = block.time[time_at("expert_time")],
             &length = block.time[time_at("layer_time")];
  auto &start_wait = block.time[time_at("start_wait")], &wait = block.time[time_at("barrier_wait")],
       &combine = block.time[time_at("combine_time")];
  std::vector<double> computed(ranks);  // end of the experts, on rank 0's clock
  for (std::size_t step = 0; step < sz(block.at.steps); ++step) {
    const auto* offset = &clocks[step * ranks];
    const std::size_t first = step * layers * ranks, last = first + (layers - 1) * ranks;
    for (std::size_t layer = first; layer <= last; layer += ranks) {
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const std::size_t at = layer + rank;
        computed[rank] = start[at] + offset[rank].offset + route[at] + dispatch[at] + experts[at];
      }
      const double slowest = std::ranges::max(computed);
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const std::size_t at = layer + rank;
        const double to_results = wait[at];
        wait[at] = std::min(slowest - computed[rank], to_results);
        combine[at] += to_results - wait[at];
      }
    }
    double begin = HUGE_VAL;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      begin = std::min(begin, start[first + rank] + offset[rank].offset);
    }
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      start_wait[first + rank] = start[first + rank] + offset[rank].offset - begin;
      block.step_time[step * ranks + rank] =
          start[last + rank] + offset[rank].offset + length[last + rank] - begin;
    }
  }
}

void require_all_tokens(const SegmentRecord& block, const RunShape& shape, const Trace& measured,
                        const std::string& placement) {
  const std::size_t ranks = sz(shape.ranks), layers = sz(shape.layers);
  const auto& tokens = block.count[count_at("assignments")];
  for (int step = 0; step < block.at.steps; ++step) {
    const int measured_step = block.at.first_step + step;
    const std::int64_t expected =
        std::int64_t{measured.tokens_in_step(measured_step)} * measured.topk;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const auto* row = &tokens[(sz(step) * layers + layer) * ranks];
      const std::int64_t computed = std::accumulate(row, row + ranks, std::int64_t{0});
      if (computed == expected) continue;
      throw Error(
          ExitCode::failed,
          fmt::format("step {} layer {}: {} of {} token-expert pairs were computed under {}: "
                      "this is a bug, please report it with the command line",
                      measured_step, layer, computed, expected, placement));
    }
  }
}

}  // namespace gembench::inline run
