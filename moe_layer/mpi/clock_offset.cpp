#include "moe_layer/mpi/clock_offset.hpp"

#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline mpi {
namespace {

constexpr int kTag = 0x636c6b;

void send(const Comm& comm, int peer, double value) {
  const Message message{&value, sizeof value, peer, kTag};
  comm.exchange({&message, 1}, {});
}

double receive(const Comm& comm, int peer) {
  double value = 0;
  const Message message{&value, sizeof value, peer, kTag};
  comm.exchange({}, {&message, 1});
  return value;
}

}  // namespace

std::vector<ClockOffset> clock_offsets(const Comm& comm, const Topology& topology, int rounds) {
  std::vector<ClockOffset> offsets(comm.rank() == 0 ? static_cast<std::size_t>(comm.size()) : 0,
                                   {0, 0});
  for (int node = 0; node < topology.nodes(); ++node) {
    const int asked = topology.ranks_of(node).front();
    if (asked == 0) continue;
    ClockOffset best;
    for (int round = 0; round < rounds; ++round) {
      if (comm.rank() == 0) {
        const double begin = wall_seconds();
        send(comm, asked, begin);
        const double there = receive(comm, asked);
        const double end = wall_seconds();
        const double error = (end - begin) / 2;
        if (!(error >= best.error)) best = {(begin + end) / 2 - there, error};  // the first: NaN
      } else if (comm.rank() == asked) {
        static_cast<void>(receive(comm, 0));
        send(comm, 0, wall_seconds());
      }
    }
    if (comm.rank() != 0) continue;
    for (const int rank : topology.ranks_of(node)) offsets[static_cast<std::size_t>(rank)] = best;
  }
  return offsets;
}

}  // namespace gembench::inline mpi
