// Making, asking and ending NCCL communicators.

#include "tests/cuda_simulation/communicator.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/runtime.hpp"

namespace gembench::simulation {
namespace {

bool arrived(MPI_Request& request) {
  int flag = 0;
  MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
  return flag != 0;
}

/// True when `done` came true in time.
template <class F>
bool wait_until(F&& done) {
  const double begin = now();
  while (!done()) {
    if (now() - begin > settings().timeout) return false;
    sched_yield();
  }
  return true;
}

int nccl_version() {
  return settings().nccl > 0 ? settings().nccl : NCCL_VERSION_CODE;
}

/// NCCL's switch for several ranks on a GPU, which it has since 2.30.
bool may_share_gpus() {
  if (nccl_version() < NCCL_VERSION(2, 30, 0)) return false;
  const char* const value = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return value != nullptr && std::string(value) == "1";
}

/// As NCCL refuses them: no two ranks on one GPU, unless that is asked for.
ncclResult_t check_members(Communicator& comm) {
  auto& members = comm.members;
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.rank < b.rank; });
  for (int rank = 0; rank < comm.size; ++rank) {
    const auto& member = members[static_cast<std::size_t>(rank)];
    if (member.rank != rank || std::memcmp(&member.id, &comm.self.id, sizeof(ncclUniqueId)) != 0) {
      return comm.fail(ncclInvalidArgument, "ranks or unique ids do not belong together");
    }
    for (int other = 0; other < rank && !may_share_gpus(); ++other) {
      const auto& before = members[static_cast<std::size_t>(other)];
      if (before.device != member.device || std::strcmp(before.host, member.host) != 0) continue;
      return comm.fail(ncclInvalidUsage, "Duplicate GPU detected: rank " + std::to_string(rank) +
                                             " and rank " + std::to_string(other) +
                                             " both on CUDA device " +
                                             std::to_string(member.device));
    }
    comm.mpi_rank.push_back(member.mpi_rank);
  }
  return ncclSuccess;
}

}  // namespace

std::string& last_nccl_message() {
  static std::string message;
  return message;
}

ncclResult_t Communicator::fail(ncclResult_t result, const std::string& message) {
  last_nccl_message() = message;
  say("NCCL: " + message);
  error = result;
  return result;
}

void Communicator::advance() {
  if (error != ncclInProgress || aborted || !arrived(request)) return;
  if (!duplicated) {
    duplicated = true;
    members.resize(static_cast<std::size_t>(size));
    MPI_Comm_rank(mpi, &self.mpi_rank);
    MPI_Iallgather(&self, sizeof(self), MPI_BYTE, members.data(), sizeof(self), MPI_BYTE, mpi,
                   &request);
    return;
  }
  const ncclResult_t result = check_members(*this);
  if (result == ncclSuccess) error = ncclSuccess;
}

void Communicator::forget_sent() {
  while (!under_way.empty() && arrived(under_way.front().request)) under_way.pop_front();
}

ncclResult_t enter_nccl(const char* name) {
  if (const int fault = injected_fault(name)) return static_cast<ncclResult_t>(fault);
  return context_error() == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

}  // namespace gembench::simulation

using namespace gembench::simulation;

ncclResult_t ncclGetVersion(int* version) {
  if (const auto result = enter_nccl("ncclGetVersion")) return result;
  *version = nccl_version();
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  if (const auto result = enter_nccl("ncclGetUniqueId")) return result;
  std::random_device random;
  for (char& byte : id->internal) byte = static_cast<char>(random());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* to, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (const auto result = enter_nccl("ncclCommInitRankConfig")) return result;
  int running = 0, world = 0;
  MPI_Initialized(&running);
  if (!running || size < 1 || rank < 0 || rank >= size) return ncclInvalidArgument;
  MPI_Comm_size(MPI_COMM_WORLD, &world);
  if (size != 1 && size != world) {
    say("a communicator has all ranks of MPI_COMM_WORLD here, or one");
    return ncclInvalidUsage;
  }
  auto comm = std::make_shared<Communicator>();
  comm->rank = rank;
  comm->size = size;
  comm->device = current_device();
  comm->sends.assign(static_cast<std::size_t>(size), 0);
  comm->receives.assign(static_cast<std::size_t>(size), 0);
  comm->self.rank = rank;
  comm->self.device = comm->device;
  comm->self.id = id;
  gethostname(comm->self.host, sizeof(comm->self.host) - 1);
  MPI_Comm_idup(size == 1 ? MPI_COMM_SELF : MPI_COMM_WORLD, &comm->mpi, &comm->request);
  *to = new ncclComm{comm};
  if (config && config->blocking == 0) return ncclInProgress;
  const bool in_time = wait_until([&] {
    comm->advance();
    return comm->error != ncclInProgress;
  });
  if (!in_time) return comm->fail(ncclSystemError, "not every rank came to make the communicator");
  return comm->error;
}

ncclResult_t ncclCommInitRank(ncclComm_t* to, int size, ncclUniqueId id, int rank) {
  if (const auto result = enter_nccl("ncclCommInitRank")) return result;
  return ncclCommInitRankConfig(to, size, id, rank, nullptr);
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  if (const auto result = enter_nccl("ncclCommCount")) return result;
  *count = comm->state->size;
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  if (const auto result = enter_nccl("ncclCommUserRank")) return result;
  *rank = comm->state->rank;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  // Another thread may ask, and only this one may talk to MPI.
  if (const int fault = injected_fault("ncclCommGetAsyncError")) {
    comm->state->error = static_cast<ncclResult_t>(fault);
  }
  int mine = 0;
  MPI_Is_thread_main(&mine);
  if (mine) comm->state->advance();
  *error = comm->state->error;
  return ncclSuccess;
}

/// Waits for all ranks, then looks for messages that no rank received.
ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  if (const auto result = enter_nccl("ncclCommFinalize")) return result;
  Communicator& state = *comm->state;
  if (state.aborted || state.error != ncclSuccess) return ncclSuccess;
  Scheduler::instance().wait_for_all();
  MPI_Request barrier = MPI_REQUEST_NULL;
  MPI_Ibarrier(state.mpi, &barrier);
  const bool together = wait_until([&] {
    state.forget_sent();
    return arrived(barrier);
  });
  if (!together) return state.fail(ncclSystemError, "a rank does not end its communicator");
  int left = 0;
  MPI_Status status;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, state.mpi, &left, &status);
  if (left != 0) {
    return state.fail(ncclInvalidUsage, "MPI rank " + std::to_string(status.MPI_SOURCE) +
                                            " sent a message that was never received");
  }
  return wait_until([&] {
    state.forget_sent();
    return state.under_way.empty();
  })
             ? ncclSuccess
             : state.fail(ncclInvalidUsage, "a message was sent that was never received");
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (const auto result = enter_nccl("ncclCommDestroy")) return result;
  const ncclResult_t result = ncclCommFinalize(comm);
  delete comm;  // the MPI communicator stays: to free it, all ranks would have to come
  return result;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->state->aborted = true;
  comm->state->error = ncclInternalError;
  return ncclSuccess;  // the handle stays, since another thread may still use it
}
