#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "tests/cuda_simulation/counters.hpp"
#include "tests/cuda_simulation/environment.hpp"

#define EXPECT_CUDA(call) EXPECT_EQ(call, cudaSuccess)

namespace gembench::simulation {

/// Every order of queued work; what is right in all of them does not depend on luck.
inline const std::vector<std::string> kOrders = {"eager",    "late",     "greedy",  "reverse",
                                                 "random:1", "random:2", "random:3"};

/// Sets variables of the simulation for one test.
class SimulationTest : public testing::Test {
 protected:
  void set(const std::string& name, const std::string& value) {
    names_.insert("GEMBENCH_SIMULATED_" + name);
    setenv(("GEMBENCH_SIMULATED_" + name).c_str(), value.c_str(), 1);
    gembench_simulation_reload();
  }
  void SetUp() override {
    gembench_simulation_reset_counters();
    cudaGetLastError();
  }
  void TearDown() override {
    EXPECT_CUDA(cudaDeviceSynchronize());
    for (const auto& name : names_) unsetenv(name.c_str());
    gembench_simulation_reload();
  }

 private:
  std::set<std::string> names_;
};

/// Device or pinned memory of n values.
template <class T>
class Values {
 public:
  explicit Values(std::size_t n, bool pinned = false) : n_(n), pinned_(pinned) {
    void* memory = nullptr;
    EXPECT_CUDA(pinned ? cudaMallocHost(&memory, n * sizeof(T))
                       : cudaMalloc(&memory, n * sizeof(T)));
    begin_ = static_cast<T*>(memory);
  }
  explicit Values(const std::vector<T>& from) : Values(from.size()) {
    EXPECT_CUDA(cudaMemcpy(begin_, from.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;
  ~Values() { EXPECT_CUDA(pinned_ ? cudaFreeHost(begin_) : cudaFree(begin_)); }
  [[nodiscard]] T* get() const { return begin_; }
  T& operator[](std::size_t i) { return begin_[i]; }  // pinned memory
  [[nodiscard]] std::vector<T> read() const {
    std::vector<T> values(n_);
    EXPECT_CUDA(cudaMemcpy(values.data(), begin_, n_ * sizeof(T),
                           pinned_ ? cudaMemcpyHostToHost : cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  std::size_t n_ = 0;
  bool pinned_ = false;
  T* begin_ = nullptr;
};

struct TestStream {
  cudaStream_t stream = nullptr;
  explicit TestStream(unsigned flags = cudaStreamNonBlocking) {
    EXPECT_CUDA(cudaStreamCreateWithFlags(&stream, flags));
  }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;
  ~TestStream() { EXPECT_CUDA(cudaStreamDestroy(stream)); }
};

struct TestEvent {
  cudaEvent_t event = nullptr;
  explicit TestEvent(unsigned flags = cudaEventDefault) {
    EXPECT_CUDA(cudaEventCreateWithFlags(&event, flags));
  }
  TestEvent(const TestEvent&) = delete;
  TestEvent& operator=(const TestEvent&) = delete;
  ~TestEvent() { EXPECT_CUDA(cudaEventDestroy(event)); }
};

}  // namespace gembench::simulation
