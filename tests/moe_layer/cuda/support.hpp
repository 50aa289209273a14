#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "moe_layer/check.hpp"
#include "moe_layer/device/cuda_plugin.hpp"
#include "moe_layer/model/routing.hpp"
#include "moe_layer/model/weights.hpp"
#include "placement/base/error.hpp"
#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"
#include "tests/moe_layer/support.hpp"

extern "C" gembench::Device* gembench_make_cuda_device(const gembench::Comm& comm,
                                                       const gembench::ModelShape& model,
                                                       const gembench::CudaOptions& options);

namespace gembench {

/// Sets a variable of the simulation for as long as this lives.
class Simulated {
 public:
  Simulated(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
    gembench_simulation_reload();
  }
  ~Simulated() {
    unsetenv(name_);
    gembench_simulation_reload();
  }
  Simulated(const Simulated&) = delete;
  Simulated& operator=(const Simulated&) = delete;

 private:
  const char* name_;
};

inline constexpr const char* kOrder = "GEMBENCH_SIMULATED_ORDER";
inline const std::vector<std::string> kOrders{"eager", "late", "greedy", "reverse", "random:1"};

/// How experts' products are computed: by this way, or as in an earlier run.
struct Products {
  std::string way = "auto", earlier = {};
};

inline std::unique_ptr<Device> make_simulated(const Comm& comm, const ModelShape& model,
                                              DType dtype, const std::string& transport = "auto",
                                              const Products& products = {}, bool graph = false) {
  std::unique_ptr<Device> device(gembench_make_cuda_device(
      comm, model, {dtype, transport, 0, products.way, products.earlier, graph}));
  device->connect();
  return device;
}

template <class T>
std::vector<T> content(Device& device, const Buffer& buffer, std::size_t count) {
  std::vector<T> values(count);
  device.download(values.data(), buffer, 0, count * sizeof(T));
  return values;
}

/// Experts drawn for every token, [layer][token][k], distinct within a token; the same on every
/// rank, of which each takes its tokens.
inline std::vector<std::uint16_t> random_ids(const ModelShape& model, int tokens,
                                             std::uint64_t seed) {
  Random random(seed);
  std::vector<std::uint16_t> all(static_cast<std::size_t>(model.experts)), ids;
  for (std::size_t e = 0; e < all.size(); ++e) all[e] = static_cast<std::uint16_t>(e);
  for (int i = 0; i < model.layers * tokens; ++i) {
    random.shuffle(all);
    // One expert is hot, and a token in eight keeps to the lowest few.
    if (i % 8 == 0) std::sort(all.begin(), all.end());
    ids.insert(ids.end(), all.begin(), all.begin() + model.topk);
  }
  return ids;
}

inline std::vector<std::uint16_t> of_rank(const std::vector<std::uint16_t>& ids,
                                          const ModelShape& model, int tokens, TokenRange range) {
  std::vector<std::uint16_t> mine;
  const auto k = static_cast<std::size_t>(model.topk);
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(model.layers); ++layer) {
    const auto first =
        ids.begin() +
        static_cast<std::ptrdiff_t>(
            (layer * static_cast<std::size_t>(tokens) + static_cast<std::size_t>(range.first)) * k);
    mine.insert(mine.end(), first, first + std::ptrdiff_t{range.count} * model.topk);
  }
  return mine;
}

/// Layers on the simulated device, under a placement.
struct CudaRig {
  CudaRig(const ModelShape& the_model, DType dtype, int the_tokens,
          const std::string& transport = "auto", double slowdown = 1, bool whole_steps = false,
          const Products& products = {}, bool graph = false)
      : model(the_model),
        tokens(the_tokens),
        device(make_simulated(comm, model, dtype, transport, products, graph)),
        store(comm, *device, model, model.layers, 3),
        range(local_tokens(tokens, comm.rank(), comm.size())),
        ids(of_rank(random_ids(model, tokens, 5), model, tokens, range)) {
    LayerOptions options;
    options.slowdown = slowdown;
    options.whole_steps = whole_steps;
    options.graph = graph;
    options.seed = 3;
    options.max_tokens = range.count;
    options.receive = {tokens, tokens * model.topk};
    layers = std::make_unique<MoeLayers>(comm, *device, model, store, options);
  }
  void use(const Placement& placement, const SplitSpec& split = {}) {
    const Placement* one = &placement;
    static_cast<void>(store.hold({&one, 1}));
    layers->use(placement, split);
  }
  void load() { layers->load_step(0, range, ids); }
  /// All layers of one step under a random placement.
  std::vector<LayerReading> step() {
    use(random_placement(model, comm.size(), 2));
    load();
    std::vector<LayerReading> readings(static_cast<std::size_t>(model.layers));
    step_time = layers->run_step(readings);
    return readings;
  }
  CheckOutcome check(const Placement& placement, const SplitSpec& split = {}) {
    use(placement, split);
    load();
    return check_step(comm, *device, model, store, *layers, placement, 3);
  }

  Comm comm = Comm::world();
  ModelShape model;
  int tokens;
  std::unique_ptr<Device> device;
  ExpertStore store;
  TokenRange range;
  std::vector<std::uint16_t> ids;
  std::unique_ptr<MoeLayers> layers;
  double step_time = 0;
};

/// What small_model() has, in other sizes.
inline ModelShape shape(int experts, int topk, int shared, int hidden, int ffn) {
  ModelShape model = small_model(shared);
  model.experts = experts;
  model.topk = topk;
  model.hidden = hidden;
  model.ffn = ffn;
  model.layers = 2;
  return model;
}

}  // namespace gembench
