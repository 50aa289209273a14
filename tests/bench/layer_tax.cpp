#include "tests/bench/layer_tax.hpp"

#include <stdexcept>

#include "moe_layer/layers.hpp"
#include "tests/bench/bare_layer.hpp"

namespace gembench::bench {
namespace {

constexpr std::uint64_t kSeed = 7;

}  // namespace

void time_layers(const Comm& comm, const Effort& effort, const MakeDevice& make, const char* name,
                 double scale, int tokens, const std::string& more) {
  ModelShape model = scaled(find_model(name), scale);
  model.layers = 2;
  const RoutedStep step(comm, model, tokens);
  const auto device = make(comm, model);
  ExpertStore store(comm, *device, model, model.layers, kSeed);
  const Placement* one = &step.placement;
  static_cast<void>(store.hold({&one, 1}));

  LayerOptions options;
  options.seed = kSeed;
  options.max_tokens = step.range.count;
  options.receive = step.limits;
  MoeLayers layers(comm, *device, model, store, options);
  layers.use(step.placement);
  layers.rehearse();
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
  const auto expected = bare.hidden_state(0);
  if (layers.hidden_state(0) != expected) {
    throw std::runtime_error("both sides computed different outputs");
  }
  const std::string shape = fmt::format("a layer of {}/{:g}, {} tokens", name, scale, tokens);
  compare(comm, effort, "tax", shape, ours, without_clock, model.layers, more);
  compare(comm, effort, "start barrier", shape, without_clock, without_start_barrier, model.layers,
          more);

  options.whole_steps = true;
  MoeLayers whole(comm, *device, model, store, options);
  whole.use(step.placement);
  whole.load_step(0, step.range, step.ids);
  layers.load_step(0, step.range, step.ids);
  std::vector<LayerReading> readings(static_cast<std::size_t>(model.layers));
  const auto staged_step = [&] { static_cast<void>(layers.run_step(readings)); };
  const auto whole_step = [&] { static_cast<void>(whole.run_step(readings)); };
  staged_step();
  whole_step();
  if (whole.hidden_state(0) != expected || layers.hidden_state(0) != expected) {
    throw std::runtime_error("whole steps computed different outputs");
  }
  compare(comm, effort, "stages", shape, staged_step, whole_step, model.layers, more);
}

}  // namespace gembench::bench
