// How long RunWriter takes for a segment of a run. bench_writing FILE [--quick]; FILE is
// overwritten and removed, and should lie on the disk that results go to.
#include <fmt/format.h>

#include <filesystem>
#include <numeric>

#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "results/run_writer.hpp"
#include "tests/bench/pairs.hpp"

namespace gembench::bench {
namespace {

constexpr int kBlock = 8;  // steps of a segment

/// A run as the harness describes it: every expert once, all placements in every block.
RunInfo describe(const RunShape& shape) {
  RunInfo info;
  info.shape = shape;
  for (int step = 0; step < shape.steps; step += kBlock) {
    for (int p = 0; p < shape.placements; ++p)
      info.segments.push_back({p, step, kBlock, step / kBlock});
  }
  info.shape.segments = static_cast<int>(info.segments.size());
  for (int p = 0; p < shape.placements; ++p) {
    Placement placement = empty_placement(shape.layers, shape.ranks, shape.experts);
    for (std::size_t at = 0; at < placement.slot_expert.size(); ++at) {
      placement.slot_expert[at] = static_cast<std::int32_t>(at % sz(shape.experts));
    }
    placement.strategy = "linear";
    info.placements.push_back(placement);
    info.labels.push_back(fmt::format("linear#{}", p));
  }
  info.expert_tokens.assign(sz(shape.steps) * sz(shape.layers) * sz(shape.experts), 128);
  info.profile = equal_ranks(shape.ranks, 1024);
  info.clock = "wall";
  return info;
}

SegmentRecord readings(const RunInfo& info, int segment, Random& random) {
  SegmentRecord block;
  block.segment = segment;
  block.at = info.segments[sz(segment)];
  const std::size_t cells = sz(kBlock) * sz(info.shape.layers) * sz(info.shape.ranks);
  for (auto& values : block.time) {
    values.resize(cells);
    for (double& value : values) value = random.uniform();
  }
  for (auto& values : block.count) {
    values.resize(cells);
    for (std::int64_t& value : values) value = static_cast<std::int64_t>(random.below(1 << 20));
  }
  block.step_time.assign(sz(kBlock) * sz(info.shape.ranks), 0.5);
  block.order.resize(sz(kBlock));
  std::iota(block.order.begin(), block.order.end(), std::int64_t{segment} * kBlock);
  return block;
}

/// Prints seconds of every write, and of what is written once: describe() and finish().
void time_writing(const std::filesystem::path& path, const RunShape& shape) {
  const RunInfo info = describe(shape);
  Random random(7);
  std::vector<double> writes;
  RunEnd end;
  end.bytes_pair.assign(sz(shape.placements) * sz(shape.layers) * sz(shape.ranks) * sz(shape.ranks),
                        1 << 20);
  const double begin = wall_seconds();
  RunWriter writer(path, true);
  writer.describe(info);
  double once = wall_seconds() - begin;
  for (int segment = 0; segment < info.shape.segments; ++segment) {
    const SegmentRecord block = readings(info, segment, random);
    const double before = wall_seconds();
    writer.write(block);
    writes.push_back(wall_seconds() - before);
  }
  const double before = wall_seconds();
  writer.finish(end);
  once += wall_seconds() - before;
  std::filesystem::remove(path);
  fmt::print(R"({{"bench":"writing","shape":"{} layers x {} ranks, blocks of {}","layers":{},)"
             R"("steps":{},"writes":[{:.9g}],"once":{:.9g}}})"
             "\n",
             shape.layers, shape.ranks, kBlock, shape.layers, kBlock, fmt::join(writes, ","), once);
  std::fflush(stdout);
}

int run(const std::filesystem::path& path, const Effort& effort) {
  const int steps = effort.quick() ? 2 * kBlock : 40;
  time_writing(
      path, {.placements = 4, .steps = steps, .layers = 8, .ranks = 4, .experts = 32, .slots = 8});
  time_writing(
      path,
      {.placements = 4, .steps = steps, .layers = 58, .ranks = 64, .experts = 256, .slots = 4});
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_writing FILE [--quick]\n");
    return 2;
  }
  return gembench::bench::run(argv[1], gembench::bench::Effort::from(argc, argv));
}
