// The time of one expert for every number of rows, compared with bare oneDNN at the same number.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "tests/bench/expert_sides.hpp"

namespace gembench::bench {
namespace {

struct Effort {
  int most_rows = 1024;
  int every = 1;     ///< beyond 16 rows only every so many
  int sweeps = 2;    ///< over all counts, so that a slow spell of the machine meets few
  int readings = 3;  ///< of each side in turn, at a count in a sweep; the smallest counts
};

/// In thread CPU time: other work on the machine is not counted.
template <class Work>
double seconds_of(Work&& work) {
  const double begin = thread_cpu_seconds();
  work();
  return thread_cpu_seconds() - begin;
}

void time(const Comm& comm, const Effort& effort, int hidden, int ffn) {
  ExpertSides sides(comm, 1, hidden, ffn, effort.most_rows);
  std::vector<int> counts;
  for (int rows = 1; rows <= effort.most_rows; ++rows) {
    constexpr int kAll = 16;
    if (rows <= kAll || (rows - kAll) % effort.every == 0) counts.push_back(rows);
  }
  std::vector<double> ours(counts.size(), 1e9), reference(counts.size(), 1e9);
  for (int sweep = 0; sweep < effort.sweeps; ++sweep) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      sides.prepare(counts[i]);
      sides.check();  // and all that is not ready yet
      for (int reading = 0; reading < effort.readings; ++reading) {
        // Both forms of the reference have `down` in common, which neither may find in a cache.
        ours[i] = std::min(ours[i], seconds_of([&] { sides.ours(); }));
        reference[i] = std::min(reference[i], seconds_of([&] { sides.bare().run_post_ops(); }));
        ours[i] = std::min(ours[i], seconds_of([&] { sides.ours(); }));
        reference[i] = std::min(reference[i], seconds_of([&] { sides.bare().run_wide(); }));
      }
    }
  }
  fmt::print(R"({{"bench":"experts-rows","shape":"{}x{} {}","tiles":{},"rows":[{}],)"
             R"("ours":[{:.6g}],"reference":[{:.6g}]}})"
             "\n",
             hidden, ffn, name_of(sides.dtype()), cpu_has_tiles(sides.dtype()),
             fmt::join(counts, ","), fmt::join(ours, ","), fmt::join(reference, ","));
  std::fflush(stdout);
}

int run(const std::vector<std::string_view>& words) {
  const Comm comm = Comm::world();
  if (std::ranges::find(words, "--quick") != words.end()) {
    time(comm, {40, 8, 1, 1}, 512, 512);
    return 0;
  }
  Effort effort;
  if (const auto word = std::ranges::find(words, "--every"); words.end() - word > 1) {
    effort.every = std::max(1, std::atoi((word + 1)->data()));
  }
  struct Shape {
    int hidden, ffn;
  };
  for (const Shape shape : {Shape{720, 720}, {2880, 2880}, {2048, 768}, {4096, 3584}}) {
    time(comm, effort, shape.hidden, shape.ffn);
  }
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run({argv + 1, argv + argc});
}
