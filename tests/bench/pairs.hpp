#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/mpi/comm.hpp"

/// Two ways to the same work, timed in turn. Raw readings are printed, one JSON line a comparison;
/// bench.py reduces them.
namespace gembench::bench {

struct Effort {
  int pairs = 161;              ///< readings of each side ...
  int fewest_pairs = 15;        ///< ... or fewer, but not fewer than this, ...
  double enough_seconds = 4;    ///< ... once a comparison has taken so long
  double batch_seconds = 5e-3;  ///< a reading repeats the work until it takes this long

  /// The command line: `--quick` asks only whether everything runs.
  static Effort from(int argc, char** argv) {
    const bool quick = std::find(argv, argv + argc, std::string_view("--quick")) != argv + argc;
    return quick ? Effort{5, 5, 0, 1e-3} : Effort{};
  }
  [[nodiscard]] bool quick() const { return enough_seconds == 0; }
};

/// Wall seconds from the first rank's start of `work` to the last rank's end. Ranks of one machine
/// read one clock, so this needs no barrier at the end and holds with more ranks than cores too.
template <class Work>
double span_of(const Comm& comm, int repeats, Work&& work) {
  comm.barrier();
  const double begin = wall_seconds();
  for (int i = 0; i < repeats; ++i) work();
  const double end = wall_seconds();
  return comm.max(end) + comm.max(-begin);
}

/// Repetitions after which `work` has taken `seconds`, the same on all ranks. Warms up too.
template <class Work>
int repeats_for(const Comm& comm, double seconds, Work&& work) {
  span_of(comm, 1, work);
  int repeats = 1;
  for (double took = 0; (took = span_of(comm, repeats, work)) < seconds;) {
    const double factor = std::clamp(1.2 * seconds / std::max(took, 1e-9), 2.0, 10.0);
    repeats = static_cast<int>(repeats * factor) + 1;
  }
  return repeats;
}

/// Prints {"bench":...,"shape":...,"ranks":...,"ours":[...],"reference":[...]}: seconds of one
/// repetition by pair. Which side goes first changes from pair to pair, so that a drift of the
/// machine's speed affects both equally. `more` is inserted unchanged: JSON members, each with a
/// comma before it.
template <class Ours, class Reference>
void compare(const Comm& comm, const Effort& effort, std::string_view bench,
             const std::string& shape, Ours&& ours, Reference&& reference, int units = 1,
             const std::string& more = "") {
  const int repeats = std::max(repeats_for(comm, effort.batch_seconds, ours),
                               repeats_for(comm, effort.batch_seconds, reference));
  std::vector<double> seconds[2];
  double passed = 0;  // the same on all ranks
  for (int pair = 0; pair < effort.pairs; ++pair) {
    if (pair >= effort.fewest_pairs && passed > effort.enough_seconds) break;
    for (const int side : {pair % 2, 1 - pair % 2}) {
      const double took =
          side == 0 ? span_of(comm, repeats, ours) : span_of(comm, repeats, reference);
      seconds[side].push_back(took / repeats / units);
      passed += took;
    }
  }
  if (comm.rank() != 0) return;
  fmt::print(R"({{"bench":"{}","shape":"{}","ranks":{},"ours":[{:.9g}],"reference":[{:.9g}]{}}})"
             "\n",
             bench, shape, comm.size(), fmt::join(seconds[0], ","), fmt::join(seconds[1], ","),
             more);
  std::fflush(stdout);
}

}  // namespace gembench::bench
