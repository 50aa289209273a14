#include "results/run_writer.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "placement/base/index.hpp"
#include "results/hdf5/output_file.hpp"
#include "results/run_adaptation.hpp"
#include "results/run_gpus.hpp"
#include "results/run_profile.hpp"
#include "results/run_quiet.hpp"
#include "results/run_reader.hpp"
#include "results/run_schema.hpp"
#include "results/run_series.hpp"
#include "results/run_topology.hpp"
#include "results/whole_arrays.hpp"

namespace gembench::inline results {
namespace {

using h5::extent;
using h5::Extents;
using h5::File;
using h5::Variable;

/// The schedule, and the datasets for what happens between segments.
void add_segments(File& file, const RunInfo& info) {
  std::vector<std::int32_t> placement, first, steps, block;
  for (const Segment& segment : info.segments) {
    placement.push_back(segment.placement);
    first.push_back(segment.first_step);
    steps.push_back(segment.steps);
    block.push_back(segment.block);
  }
  const Extents segments{extent(info.shape.segments)};
  file.make_group("segments");
  add_index(file, schema::kSegment, segments[0]);
  add(file, schema::kSegmentPlacement, segments, placement);
  add(file, schema::kSegmentFirst, segments, first);
  add(file, schema::kSegmentSteps, segments, steps);
  add(file, schema::kSegmentBlock, segments, block);
  for (const Variable* note : schema::kSegmentNotes) file.make(*note, segments);
}

void add_model(File& file, const RunModel& model) {
  file.make_group("model");
  for (const auto& [name, member] : schema::kModel) {
    file.set("model", name, std::int64_t{model.*member});
  }
}

void add_attributes(File& file, const RunInfo& info) {
  std::vector<std::string> strategies;
  for (const auto& placement : info.placements) strategies.push_back(placement.strategy);
  file.set("/", "strategies", strategies);
  file.set("/", "clock", info.clock);
  file.set("/", "config", info.config);
  file.set("/", "command_line", info.command_line);
  file.set("/", "seed", info.seed);
  for (const auto& [name, value] : info.facts) {
    if (std::find(schema::kReserved.begin(), schema::kReserved.end(), name) !=
        schema::kReserved.end()) {
      throw std::invalid_argument("RunWriter: the schema uses the fact's name " + name);
    }
    file.set("/", name, value);
  }
}

/// `before` is the current text, if any: a changed text needs new space in the file, so it is
/// written only if it changed.
void set_check(File& file, const CheckRecord& check, const CheckRecord* before) {
  if (!before || before->mode != check.mode) file.set("check", "mode", check.mode);
  if (!before || before->message != check.message) file.set("check", "message", check.message);
  file.set("check", "checked_tokens", check.checked_tokens);
  file.set("check", "worst_error", check.worst_error);
  file.set("check", "tolerance", check.tolerance);
  file.set("check", "passed", std::int64_t{check.passed});
}

/// A text takes new space in the file, so there is one only if there is something to say.
void set_soak(File& file, const schema::SoakNames& names, const SoakRecord& soak) {
  file.set("soak", names.seconds, soak.seconds);
  file.set("soak", names.steps, soak.steps);
  file.set("soak", names.steady, std::int64_t{soak.steady});
  if (!soak.unsteady.empty()) file.set("soak", names.unsteady, soak.unsteady);
}

bool says_anything(const GpuReading& reading) {
  return reading.throttle_reasons >= 0 || !std::isnan(reading.clock) ||
         !std::isnan(reading.power) || !std::isnan(reading.temperature);
}

void put_check(File& file, int segment, const SegmentNotes& notes) {
  const auto put_one = [&](const Variable& variable, auto value) {
    file.write(variable, {extent(segment)}, {1}, std::span<const decltype(value)>(&value, 1));
  };
  put_one(schema::kCheckTokens, notes.checked_tokens);
  put_one(schema::kCheckError, notes.check_error);
  put_one(schema::kCheckPassed, std::int32_t{notes.check_passed});
}

}  // namespace

struct RunWriter::State {
  State(OutputOwner owner, OutputFile::Existing existing)
      : output(std::move(owner), existing, OutputFile::Partial::keep) {}
  File& file() { return output.file(); }
  void sign();
  /// [rank]; they may stay in memory for now.
  void keep(const std::vector<std::vector<StateSample>>& states);
  void write_series();

  OutputFile output;
  std::optional<RunShape> shape;
  std::vector<Segment> segments;
  std::uint64_t load_points = 0;       ///< of the profile; 0 = none
  bool topology = false;               ///< the file has the ranks' nodes
  bool gpus = false;                   ///< the file has datasets for their state
  std::optional<SeriesWriter> series;  ///< the file has room for their readings
  bool quiet = false;                  ///< the file has room for how quiet the machine was
  bool adapts = false;                 ///< the file has room for placements that change
  CheckRecord check;                   ///< as it stands in the file before finish()
};

void RunWriter::State::keep(const std::vector<std::vector<StateSample>>& states) {
  if (!series || states.empty()) return;
  require_size(states, {extent(shape->ranks)}, "states");
  for (std::size_t rank = 0; rank < states.size(); ++rank) series->add(rank, states[rank]);
}

void RunWriter::State::write_series() {
  if (!series) return;
  series->write_values();
  file().flush();
  series->write_times();
  file().flush();
}

void RunWriter::State::sign() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  file().set("/", "schema", std::string(kRunSchema));
  file().set("/", "schema_version", std::string(kRunSchemaVersion));
  file().set("/", "created", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now)));
  file().set("/", "completed", std::int64_t{0});
  file().flush();
}

RunWriter::RunWriter(const std::filesystem::path& path, bool overwrite)
    : RunWriter(OutputOwner(path), overwrite) {}

RunWriter::RunWriter(OutputOwner owner, bool overwrite)
    : state_(std::make_unique<State>(std::move(owner), overwrite ? OutputFile::Existing::replace
                                                                 : OutputFile::Existing::refuse)) {
  state_->sign();
}

RunWriter::RunWriter(const std::filesystem::path& path, const RunReader& earlier,
                     const std::map<std::string, std::string>& facts)
    : RunWriter(OutputOwner(path), earlier, facts, false) {}

RunWriter::RunWriter(OutputOwner owner, const RunReader& earlier,
                     const std::map<std::string, std::string>& facts, bool overwrite)
    : state_(std::make_unique<State>(std::move(owner), overwrite ? OutputFile::Existing::replace
                                                                 : OutputFile::Existing::resume)) {
  state_->sign();
  RunInfo info = earlier.info();
  for (const auto& [name, value] : facts) info.facts[name] = value;
  lay_out(info);
  for (int segment = 0; segment < info.shape.segments; ++segment) {
    if (earlier.measured(segment)) write(earlier.read_segment(segment));
  }
  for (std::size_t rank = 0; state_->series && rank < sz(info.shape.ranks); ++rank) {
    state_->series->add(rank, earlier.series(static_cast<int>(rank)));
  }
  if (state_->series) state_->series->go_on_with(earlier.series_stride());
  state_->write_series();
  state_->output.publish();
}

RunWriter::~RunWriter() = default;

void RunWriter::describe(const RunInfo& info) {
  lay_out(info);
  state_->output.publish();
}

// All datasets of the file are created now; later only their values change, so that the file is
// valid if the process is killed at any moment.
void RunWriter::lay_out(const RunInfo& info) {
  if (state_->shape) throw std::logic_error("RunWriter: describe() was called twice");
  auto& file = state_->file();
  const auto& shape = info.shape;
  const auto placements = extent(shape.placements), steps = extent(shape.steps),
             layers = extent(shape.layers), ranks = extent(shape.ranks),
             experts = extent(shape.experts), slots = extent(shape.slots);
  require_size(info.labels, {placements}, "labels");
  require_size(info.placements, {placements}, "placements");
  require_size(info.segments, {extent(shape.segments)}, "segments");
  for (const Segment& segment : info.segments) {
    if (!schema::lies_within(segment, shape)) {
      throw std::invalid_argument("RunWriter: a segment lies outside of the run");
    }
  }

  file.make_scale(schema::kPlacement, placements);
  file.write(schema::kPlacement, info.labels);
  add_index(file, schema::kStep, steps);
  add_index(file, schema::kLayer, layers);
  add_index(file, schema::kRank, ranks);
  add_index(file, schema::kExpert, experts);
  add_index(file, schema::kSlot, slots);
  add_index(file, schema::kSource, ranks);
  add_index(file, schema::kTarget, ranks);

  const Extents cells{placements, steps, layers, ranks};
  for (const Measured& time : kTimes) file.make(time.stored, cells);
  for (const Measured& count : kCounts) file.make(count.stored, cells);
  file.make(schema::kStepTime, {placements, steps, ranks});
  file.make(schema::kOrder, {placements, steps});
  file.make(schema::kBlock, {placements, steps});
  file.make(schema::kBytesPair, {placements, layers, ranks, ranks});

  std::vector<std::int32_t> slot_expert;
  for (const auto& placement : info.placements) {
    require_size(placement.slot_expert, {layers, ranks, slots}, "a placement");
    slot_expert.insert(slot_expert.end(), placement.slot_expert.begin(),
                       placement.slot_expert.end());
  }
  add(file, schema::kSlots, {placements, layers, ranks, slots}, slot_expert);
  add(file, schema::kExpertTokens, {steps, layers, experts}, info.expert_tokens);
  const auto add_predicted = [&](const Variable& variable, const std::vector<double>& seconds) {
    const Extents extents{placements, steps, layers};
    seconds.empty() ? file.make(variable, extents) : add(file, variable, extents, seconds);
  };
  add_predicted(schema::kPredicted, info.predicted_layer_time);
  add_predicted(schema::kPredictedByExperts, info.predicted_by_experts);
  const std::vector<double> none(ranks, 1.0);
  add(file, schema::kSlowdown, {ranks}, info.slowdown.empty() ? none : info.slowdown);
  if (!info.slowdown_by_step.empty()) {
    add(file, schema::kSlowdownByStep, {steps, ranks}, info.slowdown_by_step);
  }
  if (info.profile.ranks != 0) add_profile(file, info.profile);

  add_attributes(file, info);
  add_model(file, info.model);
  add_segments(file, info);
  if (info.adapts) add_adaptation(file, shape);
  if (!info.gpu_before.empty()) {
    require_size(info.gpu_before, {ranks}, "gpu_before");
    add_gpus(file, {placements, steps, layers, ranks});
    put_gpus(file, info.gpu_before, false);
    if (std::ranges::any_of(info.gpu_before, says_anything)) state_->series.emplace(file, ranks);
  }
  if (!info.quiet_before.ranks.empty()) {
    require_size(info.quiet_before.ranks, {ranks}, "quiet_before");
    add_quiet(file, ranks);
    put_quiet(file, info.quiet_before, false);
  }
  if (!info.topology.empty()) {
    require_size(info.topology, {ranks}, "topology");
    add_topology(file, info.topology);
  }
  file.make_group("environment");
  file.make_group("check");
  state_->check.mode = info.check;
  set_check(file, state_->check, nullptr);
  add_summary(file, info.labels, ranks);
  file.make_group("soak");
  for (const auto& names : schema::kSoaks) set_soak(file, names, {});
  file.make_group("timing");
  for (const auto part : schema::kTimedParts) file.set("timing", part, NAN);
  for (const auto& [name, values] : info.rank_facts) {
    const auto path = "environment/" + name;
    const auto variable = schema::fact_of_rank(path);
    require_size(values, {ranks}, path);
    file.make(variable, {ranks});
    file.write(variable, values);
  }
  file.flush();
  state_->shape = shape;
  state_->segments = info.segments;
  state_->load_points = info.profile.load_points.size();
  state_->topology = !info.topology.empty();
  state_->gpus = !info.gpu_before.empty();
  state_->quiet = !info.quiet_before.ranks.empty();
  state_->adapts = info.adapts;
}

void RunWriter::write(const SegmentRecord& block) {
  if (!state_->shape) throw std::logic_error("RunWriter: write() before describe()");
  const auto& shape = *state_->shape;
  auto& file = state_->file();
  const Segment& at = block.at;
  const auto placement = extent(at.placement), first = extent(at.first_step),
             steps = extent(at.steps), layers = extent(shape.layers), ranks = extent(shape.ranks);
  if (sz(block.segment) >= sz(shape.segments) || at != state_->segments[sz(block.segment)]) {
    throw std::invalid_argument("RunWriter: the block is not a segment of the run");
  }
  state_->output.require_there();
  const auto write = [&](const Variable& variable, const auto& values, Extents count) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    if (values.empty()) return;  // not measured
    require_size(values, count, variable.name);
    Extents start(count.size(), 0);
    start[0] = placement;
    start[1] = first;
    file.write(variable, start, count, std::span<const T>(values));
  };
  const auto write_all = [&](const auto& quantities, const auto& arrays) {
    for (std::size_t i = 0; i < quantities.size(); ++i) {
      write(quantities[i].stored, arrays[i], {1, steps, layers, ranks});
    }
  };
  write_all(kTimes, block.time);
  write_all(kCounts, block.count);
  if (state_->gpus) write_all(kGpuTimes, block.gpu_time);
  write(schema::kStepTime, block.step_time, {1, steps, ranks});
  write(schema::kOrder, block.order, {1, steps});
  const auto note = [&](const Variable& variable, auto value) {
    file.write(variable, {extent(block.segment)}, {1}, std::span<const decltype(value)>(&value, 1));
  };
  note(schema::kMoveExperts, block.notes.experts_moved);
  note(schema::kMoveBytes, block.notes.bytes_moved);
  note(schema::kMoveSeconds, block.notes.move_seconds);
  note(schema::kSegmentBegin, block.notes.begin);
  note(schema::kSegmentEnd, block.notes.end);
  note(schema::kSegmentJob, std::int32_t{block.notes.job});
  put_check(file, block.segment, block.notes);
  state_->keep(block.states);
  const bool series = state_->series && state_->series->due();
  if (series) state_->series->write_values();
  if (state_->adapts) put_adaptation(file, shape, block);
  file.flush();
  // Written in place after the rest is on the disk: a step has a block only if it is complete.
  write(schema::kBlock, std::vector<std::int32_t>(steps, at.block), {1, steps});
  if (series) state_->series->write_times();
  file.flush();
}

void RunWriter::write_check(int segment, const SegmentNotes& notes) {
  if (!state_->shape) throw std::logic_error("RunWriter: write_check() before describe()");
  if (sz(segment) >= sz(state_->shape->segments)) {
    throw std::invalid_argument("RunWriter: no such segment");
  }
  state_->output.require_there();
  put_check(state_->file(), segment, notes);
  state_->file().flush();
}

void RunWriter::write_soaks(const SoakRecord& soak, const SoakRecord& soak_profile) {
  if (!state_->shape) throw std::logic_error("RunWriter: write_soaks() before describe()");
  state_->output.require_there();
  RunEnd end;
  end.soak = soak;
  end.soak_profile = soak_profile;
  for (const auto& names : schema::kSoaks) {
    (end.*names.member).unsteady.clear();
    set_soak(state_->file(), names, end.*names.member);
  }
  state_->file().flush();
}

void RunWriter::put_summary_of(const Summarise& reduce, bool ended) {
  state_->write_series();
  put_summary(state_->file(), reduce(RunReader(state_->file(), ended)));
}

void RunWriter::summarise(const Summarise& reduce) {
  if (!state_->shape) return;  // nothing was measured yet
  state_->output.require_there();
  put_summary_of(reduce, false);
}

void RunWriter::finish(const RunEnd& end, const Summarise& reduce) {
  if (!state_->shape) throw std::logic_error("RunWriter: finish() before describe()");
  const auto& shape = *state_->shape;
  auto& file = state_->file();
  const Extents pairs{extent(shape.placements), extent(shape.layers), extent(shape.ranks),
                      extent(shape.ranks)};
  if (!end.bytes_pair.empty()) {
    require_size(end.bytes_pair, pairs, "bytes_pair");
    file.write(schema::kBytesPair, std::span<const std::int64_t>(end.bytes_pair));
  }
  if (!end.profile_after.empty()) {
    require_size(end.profile_after, {extent(shape.ranks), state_->load_points}, "profile_after");
    file.write(schema::kProfileAfter, std::span<const double>(end.profile_after));
  }

  if (!end.clocks_before.empty()) {
    const Extents places{state_->topology ? extent(shape.ranks) : 0};
    require_size(end.clocks_before, places, "clocks_before");
    require_size(end.clocks_after, places, "clocks_after");
    put_clocks(file, end.clocks_before, false);
    put_clocks(file, end.clocks_after, true);
  }
  if (!end.gpu_after.empty()) {
    require_size(end.gpu_after, {state_->gpus ? extent(shape.ranks) : 0}, "gpu_after");
    put_gpus(file, end.gpu_after, true);
  }
  if (!end.gpu_during.empty()) {
    require_size(end.gpu_during, {state_->gpus ? extent(shape.ranks) : 0}, "gpu_during");
    put_gpus(file, end.gpu_during);
  }
  state_->keep(end.states);
  state_->write_series();
  for (const auto& names : schema::kSoaks) set_soak(file, names, end.*names.member);
  const Extents quiet{state_->quiet ? extent(shape.ranks) : 0};
  if (!end.quiet_after.ranks.empty()) {
    require_size(end.quiet_after.ranks, quiet, "quiet_after");
    put_quiet(file, end.quiet_after, true);
  }
  if (!end.quiet_during.empty()) {
    require_size(end.quiet_during, quiet, "quiet_during");
    put_quiet(file, end.quiet_during);
  }

  set_check(file, end.check, &state_->check);
  if (!end.stopped.empty()) file.set("/", "stopped", end.stopped);
  for (const auto& [part, seconds] : end.seconds) file.set("timing", part, seconds);

  if (reduce) put_summary_of(reduce, true);
  file.flush();
  file.set("/", "completed", std::int64_t{1});
  state_->output.commit();
}

}  // namespace gembench::inline results
