#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/layers.hpp"
#include "moe_layer/model/routing.hpp"
#include "tests/moe_layer/support.hpp"

namespace gembench {

inline constexpr std::uint64_t kSeed = 3;
inline constexpr int kTokens = 61;  // divides by no rank count but 1

/// One step with skewed counts: expert 0 gets every token.
inline Trace skewed_trace(const ModelShape& model) {
  Trace trace;
  trace.steps = 1;
  trace.layers = model.layers;
  trace.experts = model.experts;
  trace.topk = model.topk;
  for (int layer = 0; layer < model.layers; ++layer) {
    int left = kTokens * model.topk - kTokens;
    trace.tokens.push_back(kTokens);
    for (int e = 1; e < model.experts; ++e) {
      const int given = std::min(left, e % 4 == 0 ? 0 : 9);
      trace.tokens.push_back(given);
      left -= given;
    }
    trace.tokens.back() += left;
  }
  validate(trace);
  return trace;
}

/// Everything needed to run layers, under a placement.
struct Rig {
  explicit Rig(int shared, Clock clock = Clock::wall, double slowdown = 1)
      : Rig(small_model(shared), clock, slowdown) {}
  explicit Rig(const ModelShape& shape, Clock clock = Clock::wall, double slowdown = 1)
      : model(shape),
        device(make_cpu_device(comm, model, best_cpu_dtype())),
        store(comm, *device, model, model.layers, kSeed),
        trace(skewed_trace(model)),
        range(local_tokens(kTokens, comm.rank(), comm.size())) {
    LayerOptions options;
    options.clock = clock;
    options.slowdown = slowdown;
    options.seed = kSeed;
    options.max_tokens = local_tokens(kTokens, 0, comm.size()).count;
    options.receive = {kTokens, kTokens * model.topk};
    layers = std::make_unique<MoeLayers>(comm, *device, model, store, options);
  }
  void use(const Placement& placement, const SplitSpec& split = {}) {
    const Placement* one = &placement;
    static_cast<void>(store.hold({&one, 1}));
    layers->use(placement, split);
  }
  void load() { layers->load_step(0, range, routed_ids(trace, 0, kSeed, range)); }

  Comm comm = Comm::world();
  ModelShape model;
  std::unique_ptr<Device> device;
  ExpertStore store;
  Trace trace;
  TokenRange range;
  std::unique_ptr<MoeLayers> layers;
};

}  // namespace gembench
