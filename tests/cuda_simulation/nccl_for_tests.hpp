#pragma once

#include <mpi.h>
#include <nccl.h>

#include <memory>

#include "tests/cuda_simulation/support.hpp"

#define EXPECT_NCCL(call) EXPECT_EQ(call, ncclSuccess)

namespace gembench::simulation {

inline int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

inline int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

inline ncclUniqueId shared_id() {
  ncclUniqueId id{};
  if (world_rank() == 0) {
    EXPECT_NCCL(ncclGetUniqueId(&id));
  }
  MPI_Bcast(&id, sizeof(id), MPI_BYTE, 0, MPI_COMM_WORLD);
  return id;
}

/// A test of all ranks, each with a device, a stream and perhaps a communicator.
class NcclTest : public SimulationTest {
 protected:
  void SetUp() override {
    SimulationTest::SetUp();
    EXPECT_CUDA(cudaSetDevice(rank_));
    stream_ = std::make_unique<TestStream>();
  }
  void make_communicator() {
    ASSERT_EQ(ncclCommInitRank(&comm_, size_, shared_id(), rank_), ncclSuccess);
  }
  void TearDown() override {
    if (comm_) {
      EXPECT_NCCL(ncclCommDestroy(comm_));
    }
    SimulationTest::TearDown();
    stream_.reset();
    EXPECT_CUDA(cudaSetDevice(0));
  }
  const int rank_ = world_rank(), size_ = world_size();
  ncclComm_t comm_ = nullptr;
  std::unique_ptr<TestStream> stream_;
};

}  // namespace gembench::simulation
