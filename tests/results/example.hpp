#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/random.hpp"
#include "results/profile_file.hpp"
#include "results/run_file.hpp"
#include "results/run_summary.hpp"

/// Random but reproducible content for the tests of results/.
namespace gembench::example {

/// A folder of its own, removed at the end.
class Folder {
 public:
  Folder() {
    auto name = (std::filesystem::temp_directory_path() / "gembench_results_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::size_t product(std::initializer_list<int> extents) {
  std::size_t n = 1;
  for (int extent : extents) n *= static_cast<std::size_t>(extent);
  return n;
}

inline std::vector<double> reals(Random& random, std::size_t count) {
  std::vector<double> values(count);
  // Held by float32 exactly, so that a round trip can be compared with ==.
  for (auto& value : values) value = static_cast<double>(static_cast<float>(random.uniform()));
  return values;
}

template <class T>
std::vector<T> counts(Random& random, std::size_t count, std::uint64_t below) {
  std::vector<T> values(count);
  for (auto& value : values) value = static_cast<T>(random.below(below));
  return values;
}

inline Profile profile(int ranks, Random& random) {
  Profile p;
  p.ranks = ranks;
  p.load_points = {0, 16, 1000, std::int64_t{1} << 40};
  p.latency = reals(random, product({ranks, 4}));
  p.spread = reals(random, product({ranks, 4}));
  p.overhead = reals(random, product({ranks}));
  p.slowdown.assign(product({ranks}), 1.25);
  p.slots = 16;
  p.active = {{16, 512}, {1, 4, 16}, reals(random, product({ranks, 2, 3}))};
  p.routed = {3, counts<std::int32_t>(random, product({ranks, 3, 16}), 1 << 20),
              reals(random, product({ranks, 3}))};
  p.model = "gpt-oss-20b/4 f32";
  p.device = "cpu (Überchip™)";
  p.clock = "wall";
  return p;
}

/// The first of them says nothing.
inline std::vector<GpuReading> gpus(int ranks, Random& random) {
  std::vector<GpuReading> readings(product({ranks}));
  for (std::size_t rank = 1; rank < readings.size(); ++rank) {
    readings[rank] = {random.uniform(), random.uniform(), random.uniform(), random.uniform(),
                      static_cast<std::int64_t>(random.below(1ULL << 40))};
  }
  return readings;
}

/// The first of them says nothing.
inline std::vector<GpuUse> gpu_uses(int ranks, Random& random) {
  std::vector<GpuUse> uses(product({ranks}));
  for (std::size_t rank = 1; rank < uses.size(); ++rank) {
    GpuUse& use = uses[rank];
    for (double GpuUse::*member :
         {&GpuUse::clock_min, &GpuUse::clock_mean, &GpuUse::clock_max, &GpuUse::power_min,
          &GpuUse::power_mean, &GpuUse::power_max, &GpuUse::temperature_min,
          &GpuUse::temperature_mean, &GpuUse::temperature_max, &GpuUse::energy, &GpuUse::seconds}) {
      use.*member = random.uniform();
    }
    use.readings = static_cast<std::int64_t>(random.below(1000));
    use.throttle_reasons = static_cast<std::int64_t>(random.below(1ULL << 40));
  }
  return uses;
}

/// From `begin` on, over a second and a half; rank 1 is behind. Some of it is not known.
inline std::vector<std::vector<StateSample>> samples(int ranks, double begin, std::int32_t job) {
  std::vector<std::vector<StateSample>> all(product({ranks}));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    for (int i = 0; i < (rank == 1 ? 1 : 4); ++i) {
      Random random(mix64(static_cast<std::uint64_t>(begin * 64) + rank * 1000 +
                          static_cast<std::uint64_t>(i)));
      const auto real = reals(random, 5);
      all[rank].push_back({begin + 0.5 * i, real[0], real[1], i == 2 ? NAN : real[2], real[3],
                           real[4], random.uniform() * 1e9,
                           i == 2 ? -1 : static_cast<std::int64_t>(random.below(1ULL << 40)), job});
    }
  }
  return all;
}

/// Some of it is not known.
inline QuietState quiet(int ranks, Random& random) {
  QuietState state;
  state.ranks.resize(product({ranks}));
  for (auto& reading : state.ranks) {
    reading = {random.uniform(), random.uniform(), random.uniform(), random.uniform()};
  }
  state.ranks[0].lost_cpu = NAN;
  state.barrier_skew_median = random.uniform();
  return state;
}

inline std::vector<QuietUse> quiet_uses(int ranks, Random& random) {
  std::vector<QuietUse> uses(product({ranks}));
  for (auto& use : uses) use = {random.uniform(), random.uniform(), NAN, random.uniform()};
  return uses;
}

inline std::vector<ClockReading> clocks(int ranks, Random& random) {
  std::vector<ClockReading> readings(product({ranks}));
  for (auto& reading : readings) reading = {random.uniform() - 0.5, random.uniform() * 1e-6};
  return readings;
}

/// Some readings are missing.
inline ProfileFile profile_file(int ranks, Random& random) {
  ProfileFile file;
  file.profile = profile(ranks, random);
  file.samples.ranks = ranks;
  file.samples.points = 4 + 6 + 3;
  file.samples.rounds = 7;
  file.samples.seconds = reals(random, product({ranks, 13, 7}));
  for (std::size_t i = 0; i < file.samples.seconds.size(); i += 5) file.samples.seconds[i] = NAN;
  for (const char* name : {"host", "device_name", "device_id"}) {
    for (int rank = 0; rank < ranks; ++rank) {
      file.rank_facts[name].push_back(name + std::to_string(rank) + " \u00dc");
    }
  }
  file.before = gpus(ranks, random);
  file.after = gpus(ranks, random);
  file.measured = "2026-11-26T12:00:00Z";
  file.warmup_rounds = 3;
  file.warm = true;
  file.tight = true;
  file.seconds = 12.5;
  file.program = "gembench 0";
  file.series = samples(ranks, 0, 0);
  file.soak = {12.5, 300, 0, "clock of rank 1"};
  return file;
}

/// All placements side by side in blocks of steps, the last of them shorter.
inline std::vector<Segment> segments(const RunShape& shape, int block_steps) {
  std::vector<Segment> segments;
  for (int first = 0; first < shape.steps; first += block_steps) {
    for (int p = 0; p < shape.placements; ++p) {
      segments.push_back(
          {p, first, std::min(block_steps, shape.steps - first), first / block_steps});
    }
  }
  return segments;
}

/// `shape.segments` follows from the rest.
inline RunInfo info(const RunShape& shape, std::uint64_t seed, int block_steps = 8) {
  Random random(seed);
  RunInfo info;
  info.segments = segments(shape, block_steps);
  info.shape = shape;
  info.shape.segments = static_cast<int>(info.segments.size());
  info.model = {4, 1, 2880, 720, 1 << 20};
  for (int p = 0; p < shape.placements; ++p) {
    Placement placement;
    placement.layers = shape.layers;
    placement.ranks = shape.ranks;
    placement.slots = shape.slots;
    placement.experts = shape.experts;
    placement.strategy = p % 2 == 0 ? "linear" : "gem";
    for (int layer = 0; layer < shape.layers; ++layer) {
      std::vector<std::int32_t> slots(product({shape.ranks, shape.slots}), -1);
      std::iota(slots.begin(), slots.begin() + shape.experts, 0);
      random.shuffle(slots);
      placement.slot_expert.insert(placement.slot_expert.end(), slots.begin(), slots.end());
    }
    info.placements.push_back(placement);
    info.labels.push_back(placement.strategy + "#" + std::to_string(p));
  }
  info.predicted_layer_time = reals(random, product({shape.placements, shape.steps, shape.layers}));
  info.predicted_by_experts = reals(random, product({shape.placements, shape.steps, shape.layers}));
  info.expert_tokens =
      counts<std::int32_t>(random, product({shape.steps, shape.layers, shape.experts}), 1 << 30);
  info.profile = profile(shape.ranks, random);
  info.slowdown = reals(random, product({shape.ranks}));
  info.slowdown_by_step = reals(random, product({shape.steps, shape.ranks}));
  info.adapts = true;
  for (int rank = 0; rank < shape.ranks; ++rank) info.topology.push_back({rank / 2, rank % 2});
  info.gpu_before = gpus(shape.ranks, random);
  info.quiet_before = quiet(shape.ranks, random);
  info.clock = "cpu-time";
  info.config = R"({"steps": 40, "note": "ä ∑"})" + std::string(100'000, ' ');  // > 64 KiB
  info.command_line = "gembench run --steps 40";
  info.seed = std::numeric_limits<std::uint64_t>::max() - 1;
  info.facts = {{"program", "gembench"}, {"device", "cpu"}, {"empty", ""}};
  for (int rank = 0; rank < shape.ranks; ++rank) {
    info.rank_facts["host"].push_back("node-" + std::to_string(rank));
    info.rank_facts["cpus"].push_back(rank == 0 ? "" : "0-1");
  }
  return info;
}

/// Some segments begin with a switch, some end with a check, some have both or neither.
inline SegmentNotes notes(int segment) {
  Random random(static_cast<std::uint64_t>(segment));
  SegmentNotes notes;
  if (segment % 3 != 1) {
    notes.experts_moved = static_cast<std::int64_t>(random.below(1000));
    notes.bytes_moved = static_cast<std::int64_t>(random.below(1ULL << 60));
    notes.move_seconds = random.uniform() * 1e-6;
  }
  if (segment % 2 == 1) {
    notes.checked_tokens = static_cast<std::int64_t>(random.below(1ULL << 40));
    notes.check_error = random.uniform() * 1e-9;
    notes.check_passed = static_cast<int>(random.below(2));
  }
  if (segment % 4 == 2) {
    notes.replan = {static_cast<ReplanRecord::Reason>(random.below(3)),
                    static_cast<std::int64_t>(random.below(1000)),
                    static_cast<std::int64_t>(random.below(1ULL << 60)),
                    random.uniform(),
                    random.uniform(),
                    -random.uniform()};
  }
  notes.begin = 2 * segment + random.uniform();
  notes.end = notes.begin + random.uniform();
  notes.job = 0;
  return notes;
}

inline SegmentRecord block(const RunInfo& info, int segment) {
  const auto& shape = info.shape;
  const auto& at = info.segments.at(static_cast<std::size_t>(segment));
  Random random(mix64(static_cast<std::uint64_t>(at.placement * 1'000'000 + at.first_step)));
  SegmentRecord block;
  block.segment = segment;
  block.at = at;
  block.notes = notes(segment);
  const int steps = at.steps;
  const auto cells = product({steps, shape.layers, shape.ranks});
  for (auto& values : block.time) values = reals(random, cells);
  for (auto& value : block.time[0]) value += random.uniform() * 1e-9;  // float64 in the file
  for (auto& values : block.count) values = counts<std::int64_t>(random, cells, 1 << 30);
  for (auto& value : block.count[2]) value <<= 20;  // int64 in the file
  for (auto& values : block.gpu_time) {
    if (!info.gpu_before.empty()) values = reals(random, cells);
  }
  block.step_time = reals(random, product({steps, shape.ranks}));
  block.order = counts<std::int64_t>(random, product({steps}), 1 << 30);
  // Some segments are too short for a reading.
  if (!info.gpu_before.empty() && segment % 2 == 1) {
    block.states = samples(shape.ranks, 2.0 * segment, 0);
  }
  if (info.adapts) {
    block.slots =
        counts<std::int32_t>(random, product({shape.layers, shape.ranks, shape.slots}), 1 << 30);
  }
  return block;
}

/// Some numbers are not known.
inline RunSummary summary(const RunShape& shape, std::uint64_t seed) {
  Random random(seed);
  RunSummary summary;
  const auto placements = product({shape.placements});
  for (std::size_t i = 0; i < kSummaries.size(); ++i) {
    summary.values[i] = reals(random, placements);
    if (kSummaries[i].kind != NumberKind::known) continue;
    summary.low[i] = reals(random, placements);
    summary.high[i] = reals(random, placements);
    summary.high[i].back() = NAN;
  }
  summary.run_energy_per_token = random.uniform();
  summary.last_share = reals(random, product({shape.placements, shape.ranks}));
  summary.differences.resize(placements * placements);
  for (StoredDifference& one : summary.differences) {
    one = {random.uniform(), random.uniform(), NAN, random.uniform(), 7};
  }
  return summary;
}

inline RunEnd end(const RunShape& shape, std::uint64_t seed) {
  Random random(seed);
  RunEnd end;
  end.bytes_pair = counts<std::int64_t>(
      random, product({shape.placements, shape.layers, shape.ranks, shape.ranks}), 1ULL << 60);
  end.check = {"last", 4096, 1e-6, 1e-3, false, "layer 3, token 17: error 0.5"};
  end.profile_after = reals(random, product({shape.ranks, 4}));
  end.clocks_before = clocks(shape.ranks, random);
  end.clocks_after = clocks(shape.ranks, random);
  end.gpu_after = gpus(shape.ranks, random);
  end.gpu_during = gpu_uses(shape.ranks, random);
  end.states = samples(shape.ranks, 1e4, 0);
  end.soak = {30.25, 1000, 0, "clock of rank 1"};
  end.soak_profile = {11, 90, 1, ""};
  end.quiet_after = quiet(shape.ranks, random);
  end.quiet_during = quiet_uses(shape.ranks, random);
  end.stopped = "every interval is within +-1.9 points, as --precision 2 asks";
  end.seconds = {{"profile", 1.5}, {"plan", 3e-9}, {"measure", 1e6}, {"write", 0}, {"total", 2e6}};
  return end;
}

}  // namespace gembench::example
