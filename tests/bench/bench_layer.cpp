// What reading the clock and keeping books costs a layer, and, apart from that, what the start
// barrier costs it.
#include <stdexcept>

#include "bare_layer.hpp"
#include "moe_layer/layers.hpp"
#include "pairs.hpp"

namespace gembench::bench {
namespace {

constexpr std::uint64_t kSeed = 7;

void time_layers(const Comm& comm, const Effort& effort, const char* name, double scale,
                 int tokens) {
  ModelShape model = scaled(find_model(name), scale);
  model.layers = 2;
  const RoutedStep step(comm, model, tokens);
  const auto device = make_cpu_device(comm, model, best_cpu_dtype());
  ExpertStore store(comm, *device, model, model.layers, kSeed);
  const Placement* one = &step.placement;
  static_cast<void>(store.hold({&one, 1}));

  LayerOptions options;
  options.seed = kSeed;
  options.max_tokens = step.range.count;
  options.receive = step.limits;
  MoeLayers layers(comm, *device, model, store, options);
  layers.use(step.placement);
  BareLayers bare(comm, *device, model, store, step, kSeed);

  const auto ours = [&] {
    for (int layer = 0; layer < model.layers; ++layer) static_cast<void>(layers.run_layer(layer));
  };
  const auto without_clock = [&] {
    for (int layer = 0; layer < model.layers; ++layer) bare.run_layer(layer, true);
  };
  const auto without_start_barrier = [&] {
    for (int layer = 0; layer < model.layers; ++layer) bare.run_layer(layer, false);
  };
  layers.load_step(0, step.range, step.ids);
  bare.load();
  ours();
  without_clock();
  if (layers.hidden_state(0) != bare.hidden_state(0)) {
    throw std::runtime_error("both sides computed different outputs");
  }
  const std::string shape = fmt::format("a layer of {}/{:g}, {} tokens", name, scale, tokens);
  compare(comm, effort, "tax", shape, ours, without_clock, model.layers);
  compare(comm, effort, "start barrier", shape, without_clock, without_start_barrier, model.layers);
}

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  if (effort.quick()) {
    time_layers(comm, effort, "gpt-oss-20b", 32, 64);
    return 0;
  }
  Effort many = effort;  // a small difference wants many pairs
  many.pairs = 1001;
  many.fewest_pairs = 101;
  many.enough_seconds = 12;
  time_layers(comm, many, "gpt-oss-20b", 32, 64);
  time_layers(comm, many, "gpt-oss-20b", 8, 64);
  time_layers(comm, many, "gpt-oss-20b", 4, 256);
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
