#include "harness/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "harness/agreement.hpp"
#include "placement/random.hpp"

namespace gembench {
namespace {

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

std::vector<double>& times(Block& block, TimeField field) {
  return block.time[static_cast<std::size_t>(field)];
}
std::vector<std::int64_t>& counts(Block& block, CountField field) {
  return block.count[static_cast<std::size_t>(field)];
}

/// One rank's readings of a turn: [step][layer], and [step].
struct TurnReadings {
  std::vector<LayerReading> layers;
  std::vector<double> step_time;
};

/// Rank 0: all ranks' readings as the arrays that are stored.
Block gather_block(const MeasureInput& input, const Turn& turn, const TurnReadings& mine,
                   double epoch, std::int64_t& order) {
  std::vector<LayerReading> shifted = mine.layers;
  for (LayerReading& reading : shifted) reading.start_time -= epoch;
  const auto layers = input.comm.gather(std::span<const LayerReading>(shifted));
  const auto steps = input.comm.gather(std::span<const double>(mine.step_time));
  Block block;
  if (input.comm.rank() != 0) return block;
  block.placement = turn.placement;
  block.first_step = turn.first_step;
  block.steps = turn.steps;
  block.block = turn.block;
  const std::size_t ranks = sz(input.comm.size());
  const std::size_t readings = mine.layers.size();
  for (auto& values : block.time) values.resize(readings * ranks);
  for (auto& values : block.count) values.resize(readings * ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t i = 0; i < readings; ++i) {
      const LayerReading& reading = layers[rank * readings + i];
      const std::size_t at = i * ranks + rank;
      times(block, TimeField::start_time)[at] = reading.start_time;
      times(block, TimeField::start_wait)[at] = reading.start_wait;
      times(block, TimeField::route_time)[at] = reading.route_time;
      times(block, TimeField::dispatch_time)[at] = reading.dispatch_time;
      times(block, TimeField::expert_time)[at] = reading.expert_time;
      times(block, TimeField::barrier_wait)[at] = reading.barrier_wait;
      times(block, TimeField::combine_time)[at] = reading.combine_time;
      times(block, TimeField::layer_time)[at] = reading.layer_time;
      counts(block, CountField::tokens)[at] = reading.tokens;
      counts(block, CountField::active_experts)[at] = reading.active_experts;
      counts(block, CountField::bytes_sent)[at] = reading.bytes_sent;
      counts(block, CountField::metadata_bytes)[at] = reading.metadata_bytes;
    }
  }
  block.step_time.resize(sz(turn.steps) * ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    for (std::size_t step = 0; step < sz(turn.steps); ++step) {
      block.step_time[step * ranks + rank] = steps[rank * sz(turn.steps) + step];
    }
  }
  for (int step = 0; step < turn.steps; ++step) block.order.push_back(order++);
  return block;
}

/// Every token's experts must have been computed somewhere, in every measured layer.
void require_all_tokens(const MeasureInput& input, Block& block) {
  const std::size_t ranks = sz(input.comm.size()), layers = sz(input.model.layers);
  const auto& tokens = counts(block, CountField::tokens);
  for (std::size_t step = 0; step < sz(block.steps); ++step) {
    const std::int64_t expected = std::int64_t{input.workload.measured.tokens_in_step(
                                      block.first_step + static_cast<int>(step))} *
                                  input.model.topk;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const auto* row = &tokens[(step * layers + layer) * ranks];
      const std::int64_t computed = std::accumulate(row, row + ranks, std::int64_t{0});
      if (computed == expected) continue;
      throw Error(
          ExitCode::failed,
          fmt::format("step {} layer {}: {} of {} token-expert pairs were computed under {}: "
                      "this is a bug, please report it with the command line",
                      block.first_step + static_cast<int>(step), layer, computed, expected,
                      input.placements[sz(block.placement)].strategy));
    }
  }
}

class Progress {
 public:
  Progress(bool on, std::size_t total) : on_(on), total_(total), begin_(wall_seconds()) {}
  void done(const std::string& what) {
    ++done_;
    const double now = wall_seconds();
    if (!on_ || (now - last_ < 10 && done_ < total_)) return;
    last_ = now;
    const double left =
        (now - begin_) / static_cast<double>(done_) * static_cast<double>(total_ - done_);
    fmt::print(stderr, "gembench: [{:3}/{}] {}, {:.0f} s to go\n", done_, total_, what, left);
  }

 private:
  bool on_;
  std::size_t total_, done_ = 0;
  double begin_, last_ = -1e9;
};

}  // namespace

std::vector<Turn> make_schedule(int steps, int block, int placements, std::uint64_t seed) {
  std::vector<Turn> schedule;
  Random random(fold(seed, 0x6f726472));  // a stream of its own
  std::vector<int> order(sz(placements));
  std::iota(order.begin(), order.end(), 0);
  const int blocks = std::max(1, steps / block);
  for (int b = 0; b < blocks; ++b) {
    const int first = static_cast<int>(std::int64_t{steps} * b / blocks);
    const int end = static_cast<int>(std::int64_t{steps} * (b + 1) / blocks);
    random.shuffle(order);
    for (const int placement : order) {
      schedule.push_back({placement, first, end - first, b, b == blocks - 1});
    }
  }
  return schedule;
}

void complete_cpu_time(Block& block, const RunShape& shape) {
  const std::size_t ranks = sz(shape.ranks), layers = sz(shape.layers);
  const auto& route = times(block, TimeField::route_time);
  const auto& expert = times(block, TimeField::expert_time);
  for (std::size_t step = 0; step < sz(block.steps); ++step) {
    double step_time = 0;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const std::size_t first = (step * layers + layer) * ranks;
      double slowest = 0;
      for (std::size_t at = first; at < first + ranks; ++at) {
        slowest = std::max(slowest, route[at] + expert[at]);
      }
      for (std::size_t at = first; at < first + ranks; ++at) {
        times(block, TimeField::barrier_wait)[at] = slowest - (route[at] + expert[at]);
        times(block, TimeField::layer_time)[at] = slowest;
      }
      step_time += slowest;
    }
    std::fill_n(&block.step_time[step * ranks], ranks, step_time);
  }
}

RunEnd measure(const MeasureInput& input, const std::function<void(const Block&)>& keep) {
  const Comm& comm = input.comm;
  const Options& options = input.options;
  const std::size_t layers = sz(input.model.layers), ranks = sz(comm.size());
  const Trace& trace = input.workload.measured;
  const RunShape shape{static_cast<int>(input.placements.size()),
                       trace.steps,
                       input.model.layers,
                       comm.size(),
                       input.model.experts,
                       0};
  const auto schedule = make_schedule(options.steps, options.block, shape.placements, options.seed);
  const auto load = [&](int step) {
    const TokenRange tokens = local_tokens(trace.tokens_in_step(step), comm.rank(), comm.size());
    input.layers.load_step(input.workload.first_measured + step, tokens,
                           routed_ids(trace, step, options.seed, tokens));
  };

  RunEnd end;
  end.bytes_pair.assign(sz(shape.placements) * layers * ranks * ranks, 0);
  std::vector<std::vector<std::int64_t>> rows_to(input.placements.size(),
                                                 std::vector<std::int64_t>(layers * ranks, 0));
  end.check.mode = options.check;
  std::vector<const Placement*> all;
  for (const Placement& placement : input.placements) all.push_back(&placement);
  if (options.resident) static_cast<void>(input.store.hold(all));

  Progress progress(comm.rank() == 0 && !options.quiet, schedule.size());
  std::vector<LayerReading> discarded(layers);
  TurnReadings readings;
  std::int64_t order = 0;
  comm.barrier();
  const double epoch = wall_seconds();
  for (const Turn& turn : schedule) {
    const Placement* placement = all[sz(turn.placement)];
    if (!options.resident) {
      const MoveReport moved = input.store.hold({&placement, 1});
      end.moves.push_back({turn.placement, moved.experts_moved, moved.bytes, moved.seconds});
    }
    input.layers.use(*placement);
    for (int i = 0; i < options.warmup; ++i) {
      // The steps before the block, so that the block's own data are not warm either.
      load(((turn.first_step - options.warmup + i) % trace.steps + trace.steps) % trace.steps);
      static_cast<void>(input.layers.run_step(discarded));
    }
    readings.layers.assign(sz(turn.steps) * layers, {});
    readings.step_time.assign(sz(turn.steps), 0);
    input.layers.clear_rows_to();
    for (std::size_t i = 0; i < sz(turn.steps); ++i) {
      load(turn.first_step + static_cast<int>(i));
      readings.step_time[i] =
          input.layers.run_step(std::span(readings.layers).subspan(i * layers, layers));
    }
    const auto sent = input.layers.rows_to();
    std::transform(sent.begin(), sent.end(), rows_to[sz(turn.placement)].begin(),
                   rows_to[sz(turn.placement)].begin(), std::plus<>());
    Block block = gather_block(input, turn, readings, epoch, order);
    on_root(comm, [&] {
      require_all_tokens(input, block);
      if (input.clock == Clock::cpu_time) complete_cpu_time(block, shape);
      keep(block);
    });

    const int checks = options.check == "all"                              ? turn.steps
                       : options.check == "last" && turn.last_of_placement ? 1
                                                                           : 0;
    for (int i = turn.steps - checks; i < turn.steps; ++i) {
      load(turn.first_step + i);
      const CheckOutcome outcome = check_step(comm, input.device, input.model, input.store,
                                              input.layers, *placement, options.seed);
      end.check.checked_tokens += outcome.tokens;
      end.check.worst_error = std::max(end.check.worst_error, outcome.worst_error);
      end.check.tolerance = outcome.tolerance;
      if (!outcome.passed && end.check.passed) {
        end.check.passed = false;
        end.check.message =
            fmt::format("{} step {} {}", placement->strategy, turn.first_step + i, outcome.message);
      }
    }
    progress.done(fmt::format("{}, block {}", placement->strategy, turn.block));
  }

  for (std::size_t p = 0; p < rows_to.size(); ++p) {
    const auto gathered = comm.gather(std::span<const std::int64_t>(rows_to[p]));
    for (std::size_t i = 0; i < gathered.size(); ++i) {
      const std::size_t source = i / (layers * ranks), layer = i / ranks % layers, to = i % ranks;
      end.bytes_pair[((p * layers + layer) * ranks + source) * ranks + to] =
          gathered[i] * static_cast<std::int64_t>(input.layers.row_bytes());
    }
  }
  return end;
}

}  // namespace gembench
