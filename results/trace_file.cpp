#include "results/trace_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "placement/base/checked_sizes.hpp"
#include "results/hdf5/output_file.hpp"
#include "results/whole_arrays.hpp"

namespace gembench::inline results {
namespace {

using h5::Cells;
using h5::extent;
using h5::File;
using h5::Layout;
using h5::Type;
using h5::Variable;

constexpr std::string_view kVersion = "1.3.0";

constexpr Variable scale(std::string_view name, std::string_view meaning,
                         Layout layout = Layout::whole) {
  return {name, Type::int32, layout, Cells::complete, {name}, "1", meaning};
}
constexpr Variable kStep = scale("step", "step", Layout::growing);
constexpr Variable kLayer = scale("layer", "MoE layer");
constexpr Variable kExpert = scale("expert", "expert of a layer");
constexpr Variable kToken = scale("token", "token of a step");
constexpr Variable kChoice = scale("k", "place among the token's experts");
constexpr Variable kSource = scale("source", "rank that the tokens came from");

constexpr Variable per_step(std::string_view name, std::array<std::string_view, 4> dims,
                            std::string_view meaning, Type type = Type::int32) {
  return {name, type, Layout::growing, Cells::complete, dims, "1", meaning};
}
constexpr Variable kTokens =
    per_step("tokens", {"step", "layer", "expert"}, "tokens routed to the expert");
constexpr Variable kIds =
    per_step("topk_ids", {"step", "token", "layer", "k"}, "experts of the token", Type::uint16);
constexpr Variable kTask = per_step("task", {"step"}, "workload the step belongs to");
constexpr Variable kPhase =
    per_step("phase", {"step"}, "0 = decode, 1 = prefill, 2 = both in one step");
constexpr Variable kSourceTokens =
    per_step("source_tokens", {"step", "layer", "source", "expert"},
             "tokens routed to the expert from the ranks they came from");
constexpr Variable kLayerId{"layer_id",
                            Type::int32,
                            Layout::whole,
                            Cells::complete,
                            {"layer"},
                            "1",
                            "index of the layer in the model"};

std::uint64_t ids_per_step(const Trace& trace) {
  return trace.topk_ids.size() / (extent(trace.steps) * extent(trace.layers) * extent(trace.topk));
}

/// What all steps of a file share.
Trace shape_of(const Trace& trace) {
  Trace shape = slice(trace, 0, 0);
  if (!trace.task.empty()) shape.task = {0};
  if (!trace.phase.empty()) shape.phase = {0};
  return shape;
}

bool same_shape(const Trace& a, const Trace& b) {
  return a.layers == b.layers && a.experts == b.experts && a.topk == b.topk &&
         a.layer_ids == b.layer_ids && a.model_layers == b.model_layers && a.sources == b.sources &&
         a.task == b.task && a.phase == b.phase;
}

int as_int(const File& file, std::uint64_t extent) {
  if (extent > std::numeric_limits<int>::max()) file.refuse("its extents are impossible");
  return static_cast<int>(extent);
}

std::int64_t int_attribute(const File& file, std::string_view name, std::int64_t least,
                           std::int64_t most) {
  const auto value = file.get<std::int64_t>("/", name);
  if (value < least || value > most)
    file.refuse(fmt::format("its attribute {} is impossible", name));
  return value;
}

bool has_attribute(const File& file, std::string_view name) {
  const auto names = file.attributes("/");
  return std::find(names.begin(), names.end(), name) != names.end();
}

Trace shape_in(const File& file) {
  Trace trace;
  const auto tokens = file.extents(kTokens);
  trace.steps = as_int(file, tokens[0]);
  trace.layers = as_int(file, tokens[1]);
  trace.experts = as_int(file, tokens[2]);
  trace.topk = static_cast<int>(int_attribute(file, "topk", 1, trace.experts));
  return trace;
}

Trace read_from(const File& file) {
  Trace trace = shape_in(file);
  const auto tokens = file.extents(kTokens);
  if (has_attribute(file, "model_layers"))
    trace.model_layers =
        static_cast<int>(int_attribute(file, "model_layers", 1, std::numeric_limits<int>::max()));
  if (has_attribute(file, "requests"))
    trace.requests = int_attribute(file, "requests", 1, std::numeric_limits<std::int64_t>::max());
  trace.source = file.get<std::string>("/", "source");
  trace.tokens = file.read<std::int32_t>(kTokens, tokens);
  if (file.has(kIds.name)) {
    const auto in_step = file.extents(kIds)[1];
    trace.topk_ids =
        file.read<std::uint16_t>(kIds, {tokens[0], in_step, tokens[1], extent(trace.topk)});
  }
  if (file.has(kTask.name)) trace.task = file.read<std::int32_t>(kTask, {tokens[0]});
  if (file.has(kPhase.name)) trace.phase = file.read<std::int32_t>(kPhase, {tokens[0]});
  if (file.has(kLayerId.name)) trace.layer_ids = file.read<std::int32_t>(kLayerId, {tokens[1]});
  if (file.has(kSourceTokens.name)) {
    const auto sources = file.extents(kSourceTokens)[2];
    trace.sources = as_int(file, sources);
    trace.source_tokens =
        file.read<std::int32_t>(kSourceTokens, {tokens[0], tokens[1], sources, tokens[2]});
  }
  return trace;
}

}  // namespace

TraceWriter::TraceWriter(const std::filesystem::path& path, bool overwrite)
    : output_(OutputOwner(path),
              overwrite ? OutputFile::Existing::replace : OutputFile::Existing::refuse,
              OutputFile::Partial::discard) {}

void TraceWriter::begin(const Trace& trace) {
  shape_ = shape_of(trace);
  compressed_ = trace.bytes() < kCompressedBytes;
  auto& file = output_.file();
  file.set("/", "schema", std::string(kTraceSchema));
  file.set("/", "schema_version", std::string(kVersion));
  file.set("/", "topk", std::int64_t{trace.topk});
  if (trace.model_layers > 0) file.set("/", "model_layers", std::int64_t{trace.model_layers});
  file.set("/", "source", trace.source);
  if (trace.requests > 0) file.set("/", "requests", trace.requests);
  file.make_scale(kStep, 0);
  add_index(file, kLayer, extent(trace.layers));
  add_index(file, kExpert, extent(trace.experts));
  const auto make = [&](Variable variable, h5::Extents extents) {
    if (compressed_) variable.layout = Layout::growing_compressed;
    extents.insert(extents.begin(), 0);
    file.make(variable, extents);
  };
  make(kTokens, {extent(trace.layers), extent(trace.experts)});
  if (trace.has_ids()) {
    tokens_per_step_ = ids_per_step(trace);
    add_index(file, kToken, tokens_per_step_);
    add_index(file, kChoice, extent(trace.topk));
    make(kIds, {tokens_per_step_, extent(trace.layers), extent(trace.topk)});
  }
  if (!trace.task.empty()) make(kTask, {});
  if (!trace.phase.empty()) make(kPhase, {});
  if (!trace.layer_ids.empty()) {
    file.make(kLayerId, {extent(trace.layers)});
    file.write(kLayerId, std::span<const std::int32_t>(trace.layer_ids));
  }
  if (trace.sources > 0) {
    add_index(file, kSource, extent(trace.sources));
    make(kSourceTokens, {extent(trace.layers), extent(trace.sources), extent(trace.experts)});
  }
}

void TraceWriter::append(const Trace& trace) {
  validate(trace);
  if (steps_ == 0) {
    begin(trace);
  } else if (!same_shape(shape_of(trace), shape_) ||
             (trace.has_ids() ? ids_per_step(trace) : 0) != tokens_per_step_) {
    throw usage_error(
        fmt::format("step {} of the trace has another shape than the steps before it; give a "
                    "recording of one model",
                    steps_));
  }
  const auto first = static_cast<std::uint64_t>(steps_), count = extent(trace.steps);
  const auto all = steps_ + trace.steps;
  const auto counts = std::int64_t{trace.layers} * trace.experts * std::max(1, trace.sources);
  const auto ids = static_cast<std::int64_t>(tokens_per_step_) * trace.layers * trace.topk;
  if (all > std::numeric_limits<int>::max() || std::max(counts, ids) > kMaxElements / all)
    throw usage_error(
        fmt::format("step {} makes the trace larger than the {} counts or ids that are read; take "
                    "a part of the recording",
                    all, kMaxElements));
  auto& file = output_.file();
  const auto write = [&]<class T>(const Variable& variable, const std::vector<T>& values,
                                  h5::Extents extents) {
    if (values.empty()) return;
    extents.insert(extents.begin(), first + count);
    file.grow(variable, extents);
    extents[0] = count;
    h5::Extents start(extents.size(), 0);
    start[0] = first;
    file.write(variable, start, extents, std::span<const T>(values));
  };
  std::vector<std::int32_t> steps(count);
  std::iota(steps.begin(), steps.end(), static_cast<std::int32_t>(first));
  write(kStep, steps, {});
  write(kTokens, trace.tokens, {extent(trace.layers), extent(trace.experts)});
  write(kIds, trace.topk_ids, {tokens_per_step_, extent(trace.layers), extent(trace.topk)});
  write(kTask, trace.task, {});
  write(kPhase, trace.phase, {});
  write(kSourceTokens, trace.source_tokens,
        {extent(trace.layers), extent(trace.sources), extent(trace.experts)});
  steps_ += trace.steps;
  bytes_ += trace.bytes();
}

void TraceWriter::set_source(const std::string& source) {
  output_.file().set("/", "source", source);
}

void TraceWriter::set_requests(std::int64_t requests) {
  if (requests > 0) output_.file().set("/", "requests", requests);
}

void TraceWriter::commit() {
  if (steps_ == 0) throw usage_error("the recording holds no step; record some first");
  output_.commit();
}

void write_trace(const std::filesystem::path& path, const Trace& trace, bool overwrite) {
  validate(trace);  // before anything is touched
  TraceWriter writer(path, overwrite);
  writer.append(trace);
  writer.commit();
}

Trace read_trace_shape(const std::filesystem::path& path) {
  const auto file = File::open(path);
  file.expect_schema(kTraceSchema, kVersion);
  return shape_in(file);
}

Trace read_trace(const std::filesystem::path& path) {
  const auto file = File::open(path);
  file.expect_schema(kTraceSchema, kVersion);
  Trace trace;
  try {
    trace = read_from(file);
    file.expect_valid(trace);
  } catch (const std::bad_alloc&) {
    file.refuse("it is larger than the memory of this machine");
  }
  return trace;
}

}  // namespace gembench::inline results
