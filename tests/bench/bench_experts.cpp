// The grouped expert phase of the CPU device against bare oneDNN matmuls of the same shapes.
#include "tests/bench/expert_sides.hpp"
#include "tests/bench/pairs.hpp"

namespace gembench::bench {
namespace {

/// More bytes than a cache: in a layer every expert's weights come from memory.
struct Shape {
  int experts, hidden, ffn;
};

void time(const Comm& comm, const Effort& effort, ExpertSides& sides, const Shape& shape,
          int tokens) {
  sides.prepare(tokens);
  sides.check();
  const auto ours = [&] { sides.ours(); };
  // Of two ways to write the reference the one that is faster here is the one to beat.
  double fused = 1e9, wide = 1e9;
  for (int round = 0; round < 3; ++round) {
    fused = std::min(fused, span_of(comm, 1, [&] { sides.bare().run_post_ops(); }));
    wide = std::min(wide, span_of(comm, 1, [&] { sides.bare().run_wide(); }));
  }
  const bool post_ops = fused <= wide;
  const auto reference = [&] { post_ops ? sides.bare().run_post_ops() : sides.bare().run_wide(); };
  compare(comm, effort, "experts",
          fmt::format("{} of {}x{} {}, {} tokens each ({})", shape.experts, shape.hidden, shape.ffn,
                      name_of(sides.dtype()), tokens, post_ops ? "post-ops" : "gate|up"),
          ours, reference);
}

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  const std::vector<Shape> shapes =
      effort.quick()
          ? std::vector{Shape{2, 1024, 256}}
          : std::vector{Shape{8, 1024, 2048}, Shape{12, 2048, 768}, Shape{3, 2880, 2880}};
  const std::vector<int> tokens =
      effort.quick() ? std::vector{8, 300} : std::vector{8, 16, 32, 64, 128, 256, 512};
  for (const Shape& shape : shapes) {
    ExpertSides sides(comm, shape.experts, shape.hidden, shape.ffn, tokens.back());
    for (const int each : tokens) time(comm, effort, sides, shape, each);
  }
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
