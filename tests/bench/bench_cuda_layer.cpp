// What measuring costs a layer on GPUs: see layer_tax.hpp.
#include "tests/bench/cuda_bench.hpp"
#include "tests/bench/layer_tax.hpp"

namespace gembench::bench {
namespace {

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  std::string more;
  const auto make = [&](const Comm& c, const ModelShape& model) {
    auto device = make_gpu(c, model);
    more = facts_of(*device);
    return device;
  };
  static_cast<void>(make(comm, scaled(find_model("gpt-oss-20b"), 32)));
  if (effort.quick()) {
    time_layers(comm, effort, make, "gpt-oss-20b", 64, 32, more);
    return 0;
  }
  time_layers(comm, effort, make, "gpt-oss-20b", 1, 512, more);
  time_layers(comm, effort, make, "gpt-oss-20b", 1, 8192, more);
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
