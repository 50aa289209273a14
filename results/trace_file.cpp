#include "results/trace_file.hpp"

#include <limits>
#include <numeric>

#include "results/output_file.hpp"

namespace gembench {
namespace {

using h5::Cells;
using h5::File;
using h5::Layout;
using h5::Type;
using h5::Variable;

constexpr std::string_view kSchema = "gembench-trace";
constexpr std::string_view kVersion = "1.1.0";

constexpr Variable scale(std::string_view name, std::string_view meaning) {
  return {name, Type::int32, Layout::whole, Cells::complete, {name}, "1", meaning};
}
constexpr Variable kStep = scale("step", "step");
constexpr Variable kLayer = scale("layer", "MoE layer");
constexpr Variable kExpert = scale("expert", "expert of a layer");
constexpr Variable kToken = scale("token", "token of a step");
constexpr Variable kChoice = scale("k", "place among the token's experts");
constexpr Variable kTokens{"tokens",
                           Type::int32,
                           Layout::chunked,
                           Cells::complete,
                           {"step", "layer", "expert"},
                           "1",
                           "tokens routed to the expert"};
constexpr Variable kIds{"topk_ids",
                        Type::uint16,
                        Layout::chunked,
                        Cells::complete,
                        {"step", "token", "layer", "k"},
                        "1",
                        "experts of the token"};
constexpr Variable kTask{"task",
                         Type::int32,
                         Layout::whole,
                         Cells::complete,
                         {"step"},
                         "1",
                         "workload the step belongs to"};

void add_index(File& file, const Variable& variable, std::uint64_t count) {
  file.make_scale(variable, count);
  std::vector<std::int32_t> index(count);
  std::iota(index.begin(), index.end(), 0);
  file.write(variable, std::span<const std::int32_t>(index));
}

int as_int(const File& file, std::uint64_t extent) {
  if (extent > std::numeric_limits<int>::max()) file.refuse("its extents are impossible");
  return static_cast<int>(extent);
}

Trace read_from(const File& file) {
  Trace trace;
  const auto tokens = file.extents(kTokens);
  trace.steps = as_int(file, tokens[0]);
  trace.layers = as_int(file, tokens[1]);
  trace.experts = as_int(file, tokens[2]);
  const auto topk = file.get<std::int64_t>("/", "topk");
  if (topk < 1 || topk > trace.experts) file.refuse("its attribute topk is impossible");
  trace.topk = static_cast<int>(topk);
  trace.source = file.get<std::string>("/", "source");
  trace.tokens = file.read<std::int32_t>(kTokens, tokens);
  if (file.has(kIds.name)) {
    const auto per_step = file.extents(kIds)[1];
    trace.topk_ids = file.read<std::uint16_t>(
        kIds, {tokens[0], per_step, tokens[1], static_cast<std::uint64_t>(topk)});
  }
  if (file.has(kTask.name)) trace.task = file.read<std::int32_t>(kTask, {tokens[0]});
  return trace;
}

}  // namespace

void write_trace(const std::filesystem::path& path, const Trace& trace, bool overwrite) {
  validate(trace);
  OutputFile output(path, overwrite ? OutputFile::Existing::replace : OutputFile::Existing::refuse,
                    OutputFile::Partial::discard);
  auto& file = output.file();
  const auto steps = static_cast<std::uint64_t>(trace.steps),
             layers = static_cast<std::uint64_t>(trace.layers),
             experts = static_cast<std::uint64_t>(trace.experts),
             topk = static_cast<std::uint64_t>(trace.topk);
  file.set("/", "schema", std::string(kSchema));
  file.set("/", "schema_version", std::string(kVersion));
  file.set("/", "topk", std::int64_t{trace.topk});
  file.set("/", "source", trace.source);
  add_index(file, kStep, steps);
  add_index(file, kLayer, layers);
  add_index(file, kExpert, experts);
  file.make(kTokens, {steps, layers, experts});
  file.write(kTokens, std::span<const std::int32_t>(trace.tokens));
  if (trace.has_ids()) {
    const auto per_step = trace.topk_ids.size() / (steps * layers * topk);
    add_index(file, kToken, per_step);
    add_index(file, kChoice, topk);
    file.make(kIds, {steps, per_step, layers, topk});
    file.write(kIds, std::span<const std::uint16_t>(trace.topk_ids));
  }
  if (!trace.task.empty()) {
    file.make(kTask, {steps});
    file.write(kTask, std::span<const std::int32_t>(trace.task));
  }
  output.commit();
}

Trace read_trace(const std::filesystem::path& path) {
  const auto file = File::open(path);
  file.expect_schema(kSchema, kVersion);
  Trace trace;
  try {
    trace = read_from(file);
    file.expect_valid(trace);
  } catch (const std::bad_alloc&) {
    file.refuse("it is larger than the memory of this machine");
  }
  return trace;
}

}  // namespace gembench
