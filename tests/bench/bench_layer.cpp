// What measuring costs a layer on the CPU device: clock and books, the start barrier, and all that
// stands between phases.
#include "moe_layer/cpu/make_device.hpp"
#include "tests/bench/layer_tax.hpp"

namespace gembench::bench {
namespace {

std::unique_ptr<Device> make(const Comm& comm, const ModelShape& model) {
  return make_cpu_device(comm, model, best_cpu_dtype());
}

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  if (effort.quick()) {
    time_layers(comm, effort, make, "gpt-oss-20b", 32, 64);
    return 0;
  }
  Effort many = effort;  // a small difference wants many pairs
  many.pairs = 1001;
  many.fewest_pairs = 101;
  many.enough_seconds = 12;
  time_layers(comm, many, make, "gpt-oss-20b", 32, 64);
  time_layers(comm, many, make, "gpt-oss-20b", 8, 64);
  time_layers(comm, many, make, "gpt-oss-20b", 4, 256);
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
