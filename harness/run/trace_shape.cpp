#include "harness/run/trace_shape.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/run/collective_errors.hpp"
#include "harness/run/model_file.hpp"
#include "harness/run/workload.hpp"
#include "placement/base/error.hpp"
#include "results/trace_file.hpp"

namespace gembench::inline run {
namespace {

/// One number of a shape.
struct Part {
  const char* option;
  const char* name;
  std::optional<int> ModelOptions::*said;
  int ModelShape::*models;
  int Trace::*traces;
};
constexpr Part kParts[] = {
    {"layers", "layers", &ModelOptions::layers, &ModelShape::layers, &Trace::layers},
    {"experts", "experts", &ModelOptions::experts, &ModelShape::experts, &Trace::experts},
    {"topk", "top-k", &ModelOptions::topk, &ModelShape::topk, &Trace::topk},
};

void require_agreement(const SessionOptions& options, const Trace& trace) {
  for (const Part& part : kParts) {
    const auto said = options.*part.said;
    const int has = trace.*part.traces;
    // Some of the layers may be run.
    const bool fits = part.said == &ModelOptions::layers ? said <= has : said == has;
    if (!said || fits) continue;
    throw usage_error(fmt::format("--{0} is {1} and {2} has {3}: drop --{0}, or give another trace",
                                  part.option, *said, options.trace, has));
  }
}

}  // namespace

int adopt_trace_shape(const Comm& comm, SessionOptions& options) {
  Trace shape;
  on_root(comm, [&] {
    if (options.trace.empty()) return;
    shape = read_trace_shape(options.trace);
    require_agreement(options, shape);
  });
  std::vector<int> numbers;
  for (const Part& part : kParts) numbers.push_back(shape.*part.traces);
  numbers.push_back(shape.steps);
  comm.broadcast(numbers);
  if (options.trace.empty() || numbers[0] == 0) return 0;
  const ModelShape model = model_named(options.model);
  std::vector<std::string> taken;
  for (std::size_t i = 0; i < std::size(kParts); ++i) {
    const Part& part = kParts[i];
    auto& said = options.*part.said;
    if (said) continue;
    said = numbers[i];
    if (model.*part.models == numbers[i]) continue;
    taken.push_back(fmt::format("{} {} (not {})", part.name, numbers[i], model.*part.models));
  }
  options.taken_from_trace = fmt::format("{}", fmt::join(taken, ", "));
  return numbers.back();
}

}  // namespace gembench::inline run
