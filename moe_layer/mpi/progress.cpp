#include "moe_layer/mpi/progress.hpp"

#include <fmt/format.h>

#include <new>

#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline mpi {
namespace {

std::vector<int> ranks_of_this_node(const Comm& comm) {
  const auto& node_of = comm.node_of();
  std::vector<int> ranks;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    if (node_of[at] == node_of[static_cast<std::size_t>(comm.rank())]) ranks.push_back(rank);
  }
  return ranks;
}

}  // namespace

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::prepare:
      return "preparation";
    case Phase::profile:
      return "profile";
    case Phase::move:
      return "move of expert weights";
    case Phase::load:
      return "load of inputs";
    case Phase::start_barrier:
      return "start barrier";
    case Phase::step:
      return "graph of the step";
    case Phase::route:
      return "route";
    case Phase::dispatch:
      return "dispatch";
    case Phase::experts:
      return "experts";
    case Phase::barrier:
      return "barrier";
    case Phase::combine:
      return "combine";
    case Phase::gather:
      return "gathering of readings";
    case Phase::check:
      return "check";
    case Phase::write:
      return "writing of results";
  }
  return "?";
}

bool waits_in(Phase phase) {
  return phase != Phase::load && phase != Phase::route && phase != Phase::experts;
}

std::string describe(const Whereabouts& where) {
  std::string text = fmt::format("in the {}", name_of(where.phase));
  if (where.layer >= 0) text += fmt::format(" of layer {}", where.layer);
  if (where.step >= 0) text += fmt::format(", step {}", where.step);
  return text;
}

ProgressBoard::ProgressBoard(const Comm& comm)
    : ranks_(ranks_of_this_node(comm)),
      own_(static_cast<std::size_t>(comm.node_rank())),
      memory_(comm, ranks_.size() * sizeof(Row)) {
  new (&rows()[own_]) Row;
  mine().be_alive(wall_seconds());
  comm.barrier();
}

}  // namespace gembench::inline mpi
