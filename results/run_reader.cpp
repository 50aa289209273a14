#include "results/run_reader.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

#include "placement/base/index.hpp"
#include "results/run_adaptation.hpp"
#include "results/run_gpus.hpp"
#include "results/run_profile.hpp"
#include "results/run_quiet.hpp"
#include "results/run_schema.hpp"
#include "results/run_series.hpp"

namespace gembench::inline results {
namespace {

using h5::extent;
using h5::Extents;
using h5::File;
using h5::Variable;

int count_along(const File& file, const Variable& scale) {
  const auto extent = file.extents(scale).front();
  if (extent == 0 || extent > std::numeric_limits<int>::max()) {
    file.refuse("its dimension " + std::string(scale.dims[0]) + " has an impossible extent");
  }
  return static_cast<int>(extent);
}

RunShape read_shape(const File& file) {
  if (!file.has(schema::kPlacement.name)) {
    file.refuse("the run ended before anything was measured");
  }
  RunShape shape;
  shape.placements = count_along(file, schema::kPlacement);
  shape.steps = count_along(file, schema::kStep);
  shape.layers = count_along(file, schema::kLayer);
  shape.ranks = count_along(file, schema::kRank);
  shape.experts = count_along(file, schema::kExpert);
  shape.slots = count_along(file, schema::kSlot);
  shape.segments = count_along(file, schema::kSegment);
  return shape;
}

/// Whether a quantity is in the file; those that every version has must be.
bool is_there(const File& file, const Measured& quantity) {
  return quantity.since.empty() || file.has(quantity.stored.name);
}

void expect_measured(const File& file, const RunShape& shape) {
  const auto placements = extent(shape.placements), steps = extent(shape.steps),
             layers = extent(shape.layers), ranks = extent(shape.ranks);
  const auto expect = [&](const auto& quantities) {
    for (const Measured& quantity : quantities) {
      if (is_there(file, quantity)) {
        file.expect(quantity.stored, {placements, steps, layers, ranks});
      }
    }
  };
  expect(kTimes);
  expect(kCounts);
  expect(kGpuTimes);
  file.expect(schema::kStepTime, {placements, steps, ranks});
  file.expect(schema::kOrder, {placements, steps});
  file.expect(schema::kBlock, {placements, steps});
  file.expect(schema::kBytesPair, {placements, layers, ranks, ranks});
}

RunModel read_model(const File& file) {
  if (!file.has("model")) file.refuse("it has no group model");
  RunModel model;
  for (const auto& [name, member] : schema::kModel) {
    const auto value = file.get<std::int64_t>("model", name);
    if (value < 0 || value > std::numeric_limits<int>::max()) {
      file.refuse("its attribute model/" + std::string(name) + " is impossible");
    }
    model.*member = static_cast<int>(value);
  }
  return model;
}

std::vector<Segment> read_segments(const File& file, const RunShape& shape) {
  const Extents count{extent(shape.segments)};
  const auto placement = file.read<std::int32_t>(schema::kSegmentPlacement, count);
  const auto first = file.read<std::int32_t>(schema::kSegmentFirst, count);
  const auto steps = file.read<std::int32_t>(schema::kSegmentSteps, count);
  const auto block = file.read<std::int32_t>(schema::kSegmentBlock, count);
  std::vector<Segment> segments;
  for (std::size_t i = 0; i < placement.size(); ++i) {
    const Segment segment{placement[i], first[i], steps[i], block[i]};
    if (!schema::lies_within(segment, shape)) {
      file.refuse("its segment " + std::to_string(i) + " lies outside of the run");
    }
    segments.push_back(segment);
  }
  return segments;
}

std::vector<SegmentNotes> read_notes(const File& file, const RunShape& shape) {
  const Extents count{extent(shape.segments)};
  const auto experts = file.read<std::int64_t>(schema::kMoveExperts, count);
  const auto bytes = file.read<std::int64_t>(schema::kMoveBytes, count);
  const auto seconds = file.read<double>(schema::kMoveSeconds, count);
  const auto tokens = file.read<std::int64_t>(schema::kCheckTokens, count);
  const auto error = file.read<double>(schema::kCheckError, count);
  const auto passed = file.read<std::int32_t>(schema::kCheckPassed, count);
  const auto replans = read_replans(file, shape);
  std::vector<SegmentNotes> notes;
  for (std::size_t i = 0; i < experts.size(); ++i) {
    notes.push_back({experts[i], bytes[i], seconds[i], tokens[i], error[i], passed[i],
                     replans.empty() ? ReplanRecord{} : replans[i]});
  }
  if (!file.has(schema::kSegmentJob.name)) return notes;  // before 2.10.0
  const auto begin = file.read<double>(schema::kSegmentBegin, count);
  const auto end = file.read<double>(schema::kSegmentEnd, count);
  const auto job = file.read<std::int32_t>(schema::kSegmentJob, count);
  for (std::size_t i = 0; i < notes.size(); ++i) {
    notes[i].begin = begin[i];
    notes[i].end = end[i];
    notes[i].job = job[i];
    if (job[i] < -1 || job[i] >= shape.segments) {  // every start measured one at least
      file.refuse("its segment " + std::to_string(i) + " is of an impossible start");
    }
  }
  return notes;
}

std::vector<Placement> read_placements(const File& file, const RunShape& shape) {
  const auto strategies = file.get<std::vector<std::string>>("/", "strategies");
  if (strategies.size() != extent(shape.placements)) {
    file.refuse("its attribute strategies does not name every placement");
  }
  const auto slots = file.read<std::int32_t>(
      schema::kSlots,
      {extent(shape.placements), extent(shape.layers), extent(shape.ranks), extent(shape.slots)});
  const auto size = static_cast<std::ptrdiff_t>(slots.size() / strategies.size());
  std::vector<Placement> placements;
  for (auto from = slots.begin(); from != slots.end(); from += size) {
    Placement placement;
    placement.layers = shape.layers;
    placement.ranks = shape.ranks;
    placement.slots = shape.slots;
    placement.experts = shape.experts;
    placement.slot_expert.assign(from, from + size);
    placement.strategy = strategies[placements.size()];
    file.expect_valid(placement);
    placements.push_back(std::move(placement));
  }
  return placements;
}

std::vector<NodePlace> read_topology(const File& file, const RunShape& shape) {
  if (!file.has("topology")) return {};
  const Extents ranks{extent(shape.ranks)};
  const auto nodes = file.read<std::int32_t>(schema::kNode, ranks);
  const auto local_ranks = file.read<std::int32_t>(schema::kLocalRank, ranks);
  std::vector<NodePlace> places;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i] < 0 || nodes[i] >= shape.ranks || local_ranks[i] < 0) {
      file.refuse("its topology names an impossible node of rank " + std::to_string(i));
    }
    places.push_back({nodes[i], local_ranks[i]});
  }
  return places;
}

std::vector<ClockReading> read_clocks(const File& file, const RunShape& shape,
                                      const Variable& offset, const Variable& error) {
  if (!file.has("topology")) return {};
  const Extents ranks{extent(shape.ranks)};
  const auto offsets = file.read<double>(offset, ranks);
  const auto errors = file.read<double>(error, ranks);
  std::vector<ClockReading> clocks;
  for (std::size_t i = 0; i < offsets.size(); ++i) clocks.push_back({offsets[i], errors[i]});
  return clocks;
}

std::vector<GpuReading> read_gpus(const File& file, const RunShape& shape, bool after) {
  if (!file.has("gpu")) return {};
  const Extents ranks{extent(shape.ranks)};
  std::vector<GpuReading> readings(ranks[0]);
  for (const auto& number : schema::kGpuNumbers) {
    const auto values = file.read<double>(after ? number.after : number.before, ranks);
    for (std::size_t i = 0; i < values.size(); ++i) readings[i].*number.member = values[i];
  }
  const auto reasons =
      file.read<std::int64_t>(after ? schema::kThrottleAfter : schema::kThrottleBefore, ranks);
  for (std::size_t i = 0; i < reasons.size(); ++i) readings[i].throttle_reasons = reasons[i];
  return readings;
}

RunInfo read_info(const File& file) {
  RunInfo info;
  info.shape = read_shape(file);
  const auto& shape = info.shape;
  expect_measured(file, shape);
  const auto placements = extent(shape.placements), steps = extent(shape.steps),
             layers = extent(shape.layers), ranks = extent(shape.ranks);
  info.model = read_model(file);
  info.segments = read_segments(file, shape);
  info.labels = file.read_texts(schema::kPlacement, {placements});
  info.placements = read_placements(file, shape);
  info.predicted_layer_time = file.read<double>(schema::kPredicted, {placements, steps, layers});
  info.predicted_by_experts =
      file.read<double>(schema::kPredictedByExperts, {placements, steps, layers});
  info.expert_tokens =
      file.read<std::int32_t>(schema::kExpertTokens, {steps, layers, extent(shape.experts)});
  info.profile = read_profile_of(file, shape.ranks);
  info.slowdown = file.read<double>(schema::kSlowdown, {ranks});
  if (file.has(schema::kSlowdownByStep.name)) {
    info.slowdown_by_step = file.read<double>(schema::kSlowdownByStep, {steps, ranks});
  }
  info.adapts = file.has(schema::kSegmentSlots.name);
  info.topology = read_topology(file, shape);
  info.gpu_before = read_gpus(file, shape, false);
  info.quiet_before = read_quiet(file, ranks, false);
  if (!file.has("check")) file.refuse("it has no group check");
  info.check = file.get<std::string>("check", "mode");
  info.clock = file.get<std::string>("/", "clock");
  info.config = file.get<std::string>("/", "config");
  info.command_line = file.get<std::string>("/", "command_line");
  info.seed = file.get<std::uint64_t>("/", "seed");
  for (const auto& name : file.attributes("/")) {
    const bool reserved = std::find(schema::kReserved.begin(), schema::kReserved.end(), name) !=
                          schema::kReserved.end();
    if (!reserved && file.has_text("/", name)) {
      info.facts[name] = file.get<std::string>("/", name);
    }
  }
  for (const auto& name : file.members("environment")) {
    const auto path = "environment/" + name;
    info.rank_facts[name] = file.read_texts(schema::fact_of_rank(path), {ranks});
  }
  return info;
}

SoakRecord read_soak(const File& file, const schema::SoakNames& names) {
  SoakRecord soak;
  if (!file.has("soak")) return soak;  // before 2.10.0
  soak.seconds = file.get<double>("soak", names.seconds);
  soak.steps = file.get<std::int64_t>("soak", names.steps);
  soak.steady = file.get<std::int64_t>("soak", names.steady) == 1 ? 1 : soak.steps < 0 ? -1 : 0;
  for (const auto& name : file.attributes("soak")) {
    if (name == names.unsteady) soak.unsteady = file.get<std::string>("soak", name);
  }
  return soak;
}

RunEnd read_end(const File& file, const RunShape& shape) {
  RunEnd end;
  const auto ranks = extent(shape.ranks);
  end.bytes_pair = file.read<std::int64_t>(
      schema::kBytesPair, {extent(shape.placements), extent(shape.layers), ranks, ranks});
  end.check.mode = file.get<std::string>("check", "mode");
  end.check.checked_tokens = file.get<std::int64_t>("check", "checked_tokens");
  end.check.worst_error = file.get<double>("check", "worst_error");
  end.check.tolerance = file.get<double>("check", "tolerance");
  end.check.passed = file.get<std::int64_t>("check", "passed") != 0;
  end.check.message = file.get<std::string>("check", "message");
  if (file.has(schema::kProfileAfter.name)) {
    const auto load_points = file.extents(schema::kLoadPoint).front();
    end.profile_after = file.read<double>(schema::kProfileAfter, {ranks, load_points});
    // All NaN: it was not measured again.
    if (std::all_of(end.profile_after.begin(), end.profile_after.end(),
                    [](double seconds) { return std::isnan(seconds); })) {
      end.profile_after.clear();
    }
  }
  end.clocks_before = read_clocks(file, shape, schema::kOffsetBefore, schema::kErrorBefore);
  end.clocks_after = read_clocks(file, shape, schema::kOffsetAfter, schema::kErrorAfter);
  end.gpu_after = read_gpus(file, shape, true);
  end.gpu_during = read_gpu_uses(file, ranks);
  end.quiet_after = read_quiet(file, ranks, true);
  for (const auto& name : file.attributes("/")) {  // since 2.6.0
    if (name == "stopped" && file.has_text("/", name)) {
      end.stopped = file.get<std::string>("/", name);
    }
  }
  end.quiet_during = read_quiet_uses(file, ranks);
  if (!file.has("timing")) file.refuse("it has no group timing");
  for (const auto& part : file.attributes("timing")) {
    const auto seconds = file.get<double>("timing", part);
    if (!std::isnan(seconds)) end.seconds[part] = seconds;
  }
  return end;
}

}  // namespace

struct RunReader::State {
  explicit State(const std::filesystem::path& path)
      : own(File::open(path, schema::kRenamed)), file(*own) {
    file.expect_schema(kRunSchema, kRunSchemaVersion);
    completed = file.get<std::int64_t>("/", "completed") != 0;
    read();
  }
  State(const File& written, bool ended) : file(written), completed(ended) { read(); }

  void read() {
    try {
      info = read_info(file);
      notes = read_notes(file, info.shape);
      if (completed) end = read_end(file, info.shape);
      for (const auto& names : schema::kSoaks) end.*names.member = read_soak(file, names);
      summary = read_summary(file, extent(info.shape.placements), extent(info.shape.ranks));
    } catch (const std::bad_alloc&) {
      file.refuse("it is larger than the memory of this machine");
    }
  }

  const SeriesReader& all_series() {
    if (!series) series.emplace(file, extent(info.shape.ranks));
    return *series;
  }

  std::optional<File> own;
  const File& file;
  bool completed = false;
  RunInfo info;
  std::vector<SegmentNotes> notes;
  RunEnd end;
  std::optional<RunSummary> summary;
  std::optional<SeriesReader> series;  ///< from the first question on
};

RunProgress progress_of_run(const std::filesystem::path& path) {
  const File file = File::open(path, schema::kRenamed);
  file.expect_schema(kRunSchema, kRunSchemaVersion);
  return {file.has(schema::kPlacement.name), file.get<std::int64_t>("/", "completed") == 1};
}

std::string read_run_config(const std::filesystem::path& path) {
  const File file = File::open(path, schema::kRenamed);
  file.expect_schema(kRunSchema, kRunSchemaVersion);
  return file.get<std::string>("/", "config");
}

RunReader::RunReader(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}
RunReader::RunReader(const File& written, bool ended)
    : state_(std::make_unique<State>(written, ended)) {}
RunReader::~RunReader() = default;

const RunInfo& RunReader::info() const {
  return state_->info;
}
bool RunReader::completed() const {
  return state_->completed;
}
const RunEnd& RunReader::end() const {
  return state_->end;
}

const std::vector<SegmentNotes>& RunReader::notes() const {
  return state_->notes;
}

const std::optional<RunSummary>& RunReader::summary() const {
  return state_->summary;
}

bool RunReader::measured(int segment) const {
  const Segment& at = state_->info.segments.at(sz(segment));
  std::vector<std::int64_t> blocks(extent(at.steps));
  state_->file.read(schema::kBlock, {extent(at.placement), extent(at.first_step)},
                    {1, blocks.size()}, blocks.data());
  return std::all_of(blocks.begin(), blocks.end(), [&](auto block) { return block == at.block; });
}

SegmentRecord RunReader::read_segment(int segment) const {
  const Segment& at = state_->info.segments.at(sz(segment));
  SegmentRecord block = read(at.placement, at.first_step, at.steps);
  block.segment = segment;
  block.at = at;
  block.notes = state_->notes[sz(segment)];
  block.slots = read_segment_slots(state_->file, state_->info.shape, segment);
  return block;
}

std::vector<StateSample> RunReader::series(int rank) const {
  const int ranks = state_->info.shape.ranks;
  if (rank < 0 || rank >= ranks) throw std::out_of_range("RunReader: no such rank");
  return state_->all_series().of(extent(rank));
}

std::uint64_t RunReader::series_stride() const {
  return state_->all_series().stride();
}

std::vector<std::int64_t> RunReader::blocks(int placement) const {
  const auto& shape = state_->info.shape;
  if (placement < 0 || placement >= shape.placements) {
    throw std::out_of_range("RunReader: no such placement");
  }
  std::vector<std::int64_t> blocks(extent(shape.steps));
  state_->file.read(schema::kBlock, {extent(placement), 0}, {1, blocks.size()}, blocks.data());
  return blocks;
}

SegmentRecord RunReader::read(int placement, int first_step, int steps) const {
  const auto& shape = state_->info.shape;
  if (placement < 0 || placement >= shape.placements || first_step < 0 || steps < 1 ||
      steps > shape.steps - first_step) {
    throw std::out_of_range("RunReader: no such steps");
  }
  SegmentRecord block;
  block.at.placement = placement;
  block.at.first_step = first_step;
  block.at.steps = steps;
  const auto size = extent(steps), layers = extent(shape.layers), ranks = extent(shape.ranks);
  const auto read = [&](const Variable& variable, auto& values, Extents count) {
    std::uint64_t cells = 1;
    for (auto n : count) cells *= n;
    values.resize(cells);
    Extents start(count.size(), 0);
    start[0] = extent(placement);
    start[1] = extent(first_step);
    state_->file.read(variable, start, count, values.data());
  };
  const auto read_all = [&](const auto& quantities, auto& arrays, auto missing) {
    for (std::size_t i = 0; i < quantities.size(); ++i) {
      if (is_there(state_->file, quantities[i])) {
        read(quantities[i].stored, arrays[i], {1, size, layers, ranks});
      } else {
        missing(arrays[i]);
      }
    }
  };
  read_all(kTimes, block.time, [](auto&) {});
  read_all(kCounts, block.count, [&](auto& values) { values.assign(size * layers * ranks, -1); });
  read_all(kGpuTimes, block.gpu_time, [](auto&) {});
  read(schema::kStepTime, block.step_time, {1, size, ranks});
  read(schema::kOrder, block.order, {1, size});
  std::int32_t index = -1;
  state_->file.read(schema::kBlock, {extent(placement), extent(first_step)}, {1, 1}, &index);
  block.at.block = index;
  return block;
}

}  // namespace gembench::inline results
