// Whether the same step has the same output, bit for bit, however often it is computed: a race of
// kernels shows as a difference. Prints a digest, the same in every launch; exit code 1 if a
// repetition differs.
#include <cstring>

#include "moe_layer/layers.hpp"
#include "tests/bench/cuda_bench.hpp"
#include "tests/bench/routed_step.hpp"

namespace gembench::bench {
namespace {

constexpr std::uint64_t kSeed = 7;
/// Every GPU has it. Of several ways the fastest would be used, which may be another one next time,
/// with other bits.
constexpr const char* kProducts = "cublas";

/// FNV-1a of all tokens of this rank.
std::uint64_t digest_of(MoeLayers& layers, int tokens) {
  std::uint64_t digest = 14695981039346656037U;
  for (int token = 0; token < tokens; ++token) {
    for (const float value : layers.hidden_state(token)) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof bits);
      digest = (digest ^ bits) * 1099511628211U;
    }
  }
  return digest;
}

/// True if every repetition gave the same on every rank.
bool repeat(const Comm& comm, const Effort& effort, const std::string& transport, int tokens) {
  ModelShape model = scaled(find_model("gpt-oss-20b"), effort.quick() ? 64 : 4);
  model.layers = 2;
  const RoutedStep step(comm, model, tokens);
  const auto device = make_gpu(comm, model, transport, kProducts);
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

  const int times = effort.quick() ? 3 : tokens < 1000 ? 100 : 20;
  std::uint64_t first = 0;
  int different = 0;
  for (int i = 0; i < times; ++i) {
    layers.load_step(0, step.range, step.ids);
    for (int layer = 0; layer < model.layers; ++layer) static_cast<void>(layers.run_layer(layer));
    const std::uint64_t digest = digest_of(layers, step.range.count);
    if (i == 0) first = digest;
    different += digest != first ? 1 : 0;
  }
  const auto digests = comm.gather(std::span<const std::uint64_t>(&first, 1));
  const bool same = comm.max(different) == 0;
  if (comm.rank() == 0) {
    fmt::print(R"({{"bench":"repeat","shape":"{} tokens of {}","ranks":{},"times":{},)"
               R"("different":{},"transport":"{}","digest":"{:016x}","products":"{}"}})"
               "\n",
               tokens, model.name, comm.size(), times, same ? 0 : 1, transport,
               fmt::join(digests, ","), device->facts().at("expert_products"));
    std::fflush(stdout);
  }
  return same;
}

int run(const Effort& effort, const std::string& transport) {
  const Comm comm = Comm::world();
  bool same = repeat(comm, effort, transport, 64);
  if (!effort.quick()) same = repeat(comm, effort, transport, 4096) && same;
  return same ? 0 : 1;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  // Through MPI, ranks may share a GPU.
  const bool mpi = std::find(argv, argv + argc, std::string_view("--mpi")) != argv + argc;
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv), mpi ? "mpi" : "auto");
}
