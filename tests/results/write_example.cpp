// Writes the files that read_with_python.py reads; the values follow a rule it knows.
#include <cstdio>

#include "results/run_writer.hpp"
#include "results/trace_file.hpp"
#include "tests/results/example.hpp"

namespace {

/// 5 steps of 2 layers, 4 experts, 3 sources: a token for expert e from source s, where e + s +
/// step is even, in every layer.
gembench::Trace recorded_trace() {
  gembench::Trace trace;
  trace.steps = 5;
  trace.layers = 2;
  trace.experts = 4;
  trace.topk = 1;
  trace.sources = 3;
  trace.layer_ids = {3, 4};
  trace.model_layers = 5;
  trace.phase = {0, 0, 1, 2, 0};
  trace.source = "an example";
  for (int step = 0; step < 5; ++step)
    for (int layer = 0; layer < 2; ++layer) {
      trace.tokens.resize(trace.tokens.size() + 4);
      for (int source = 0; source < 3; ++source)
        for (int expert = 0; expert < 4; ++expert) {
          const int count = (expert + source + step) % 2 == 0 ? 1 : 0;
          trace.source_tokens.push_back(count);
          trace.loads(step, layer)[static_cast<std::size_t>(expert)] += count;
        }
    }
  return trace;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace gembench;
  if (argc != 3) return 2;
  const RunShape shape{
      .placements = 2, .steps = 12, .layers = 3, .ranks = 4, .experts = 8, .slots = 3};
  try {
    RunWriter writer(argv[1], true);
    const auto info = example::info(shape, 1);
    writer.describe(info);
    auto block = example::block(info, 1);
    block.notes = {3, std::int64_t{1} << 40, 0.125, -1, NAN, -1, {}};
    for (std::size_t i = 0; i < block.time[7].size(); ++i) {
      block.time[7][i] = static_cast<double>(i) / 64;
      block.count[0][i] = static_cast<std::int64_t>(i);
    }
    writer.write(block);
    writer.finish(example::end(shape, 2));
    const auto trace = recorded_trace();
    TraceWriter traces(argv[2], true);
    traces.append(slice(trace, 0, 2));
    traces.append(slice(trace, 2, 3));
    traces.commit();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
