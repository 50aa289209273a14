#pragma once

#include <mpi.h>
#include <nccl.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gembench::simulation {

/// What an NCCL communicator is here: ranks of MPI_COMM_WORLD, or this one alone. Queued work holds
/// it too, so that it outlives its handle.
struct Communicator {
  int rank = 0, size = 0, device = 0;
  MPI_Comm mpi = MPI_COMM_NULL;
  std::vector<int> mpi_rank;  // of an NCCL rank
  /// Messages between two ranks match in the order of calls and of launches of graphs, not of
  /// captures.
  std::vector<int> sends, receives;    // so far, by peer
  std::set<std::pair<bool, int>> met;  // to (true) and from what peers there was a message
  struct Sent {
    MPI_Request request;
    std::vector<char> bytes;
  };
  std::deque<Sent> under_way;
  std::atomic<bool> aborted = false;  // other threads may set it
  std::atomic<ncclResult_t> error = ncclInProgress;

  /// Who takes part, exchanged when a communicator is made.
  struct Member {
    int rank, mpi_rank, device;
    char host[64];
    ncclUniqueId id;
  };
  Member self{};
  std::vector<Member> members;
  MPI_Request request = MPI_REQUEST_NULL;
  bool duplicated = false;

  /// Takes the next steps of making it, as far as they go without waiting. The result is `error`.
  void advance();
  /// Drops sent messages that arrived.
  void forget_sent();
  ncclResult_t fail(ncclResult_t result, const std::string& message);
};

/// What ncclGetLastError says.
std::string& last_nccl_message();
/// Counts the call; the fault that is asked for.
ncclResult_t enter_nccl(const char* name);

}  // namespace gembench::simulation

struct ncclComm {
  std::shared_ptr<gembench::simulation::Communicator> state;
};
