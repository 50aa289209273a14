// Memory, properties, faults and counters.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {
namespace {

class Device : public SimulationTest {};
using DeviceDeathTest = Device;

TEST_F(Device, says_that_it_is_none) {
  set("GPUS", "3");
  int count = 0, device = -1, attribute = 0;
  EXPECT_CUDA(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 3);
  cudaDeviceProp first{}, second{};
  EXPECT_CUDA(cudaGetDeviceProperties(&first, 0));
  EXPECT_CUDA(cudaGetDeviceProperties(&second, 2));
  EXPECT_STREQ(first.name, "simulated GPU (no GPU: times are CPU times)");
  EXPECT_NE(std::memcmp(&first.uuid, &second.uuid, sizeof(cudaUUID_t)), 0);
  EXPECT_CUDA(cudaDeviceGetAttribute(&attribute, cudaDevAttrMultiProcessorCount, 1));
  EXPECT_EQ(attribute, first.multiProcessorCount);
  char bus[32] = "";
  EXPECT_CUDA(cudaDeviceGetPCIBusId(bus, sizeof(bus), 1));
  EXPECT_STREQ(bus, "0000:02:00.0");
  EXPECT_CUDA(cudaSetDevice(2));
  EXPECT_CUDA(cudaGetDevice(&device));
  EXPECT_EQ(device, 2);
  EXPECT_EQ(cudaSetDevice(3), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaGetDeviceProperties(&first, 3), cudaErrorInvalidDevice);
  EXPECT_CUDA(cudaSetDevice(0));
  cudaGetLastError();
  set("GPUS", "0");
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_STREQ(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice");
  EXPECT_STREQ(cudaGetErrorString(cudaErrorMemoryAllocation), "out of memory");
}

TEST_F(Device, versions_are_those_of_the_headers) {
  int driver = 0, runtime = 0;
  EXPECT_CUDA(cudaDriverGetVersion(&driver));
  EXPECT_CUDA(cudaRuntimeGetVersion(&runtime));
  EXPECT_EQ(driver, CUDART_VERSION);
  EXPECT_EQ(runtime, CUDART_VERSION);
}

TEST_F(Device, pinned_memory_by_either_call_may_be_copied_without_waiting) {
  void *by_flags = nullptr, *plain = nullptr;
  EXPECT_CUDA(cudaHostAlloc(&by_flags, 8, cudaHostAllocPortable));
  EXPECT_CUDA(cudaMallocHost(&plain, 8));
  const Values<char> device(8);
  const TestStream s;
  EXPECT_CUDA(cudaMemcpyAsync(device.get(), by_flags, 8, cudaMemcpyHostToDevice, s.stream));
  EXPECT_CUDA(cudaMemcpyAsync(plain, device.get(), 8, cudaMemcpyDeviceToHost, s.stream));
  EXPECT_EQ(counters().pageable_copies, 0);
  EXPECT_CUDA(cudaFreeHost(by_flags));  // waits for the copies
  EXPECT_EQ(static_cast<unsigned char*>(plain)[7], 0xCD);
  EXPECT_CUDA(cudaFreeHost(plain));
}

TEST_F(Device, memory_is_junk_at_first_and_runs_out) {
  set("MEMORY", "1000");
  const auto before = counters().live_bytes;
  {
    const Values<float> some(150);
    const auto values = some.read();
    EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v < -4e8F; }));
    std::size_t available = 0, total = 0;
    EXPECT_CUDA(cudaMemGetInfo(&available, &total));
    EXPECT_EQ(available, 400U);
    EXPECT_EQ(total, 1000U);
    void* more = &available;
    EXPECT_EQ(cudaMalloc(&more, 401), cudaErrorMemoryAllocation);
    EXPECT_EQ(more, nullptr);
    EXPECT_EQ(counters().live_bytes, before + 600);
  }
  EXPECT_EQ(counters().live_bytes, before);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
}

TEST_F(Device, copies_of_the_wrong_kind_or_beyond_a_block_are_refused) {
  const Values<char> device(8), other(8);
  const Values<char> pinned(8, true);
  char host[16] = {};
  const TestStream s;
  const auto copy = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    const auto blocking = cudaMemcpy(to, from, bytes, kind);
    EXPECT_EQ(cudaMemcpyAsync(to, from, bytes, kind, s.stream), blocking);
    return blocking;
  };
  for (char* from : {host, pinned.get()}) {
    EXPECT_CUDA(copy(device.get(), from, 8, cudaMemcpyHostToDevice));
    EXPECT_CUDA(copy(from, device.get(), 8, cudaMemcpyDeviceToHost));
    EXPECT_EQ(copy(device.get(), from, 8, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    EXPECT_EQ(copy(from, device.get(), 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    EXPECT_EQ(copy(device.get(), from, 8, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
    EXPECT_EQ(copy(device.get(), from, 9, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  }
  EXPECT_EQ(copy(device.get(), other.get(), 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(pinned.get() + 4, host, 5, cudaMemcpyHostToHost), cudaErrorInvalidValue);
  EXPECT_CUDA(copy(nullptr, nullptr, 0, cudaMemcpyHostToDevice));
  EXPECT_EQ(cudaMemset(device.get() + 1, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(device.get() + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(pinned.get()), cudaErrorInvalidValue);
  EXPECT_CUDA(cudaFree(nullptr));
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST_F(Device, a_fault_hits_one_call_of_one_function_on_one_rank) {
  set("FAULT", "cudaMalloc:2:2,cudaGetDeviceCount:1:35,cudaGetDevice:1:3:1");
  void* memory = nullptr;
  int value = 7;
  EXPECT_CUDA(cudaMalloc(&memory, 8));
  EXPECT_CUDA(cudaFree(memory));
  EXPECT_EQ(cudaMalloc(&memory, 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_CUDA(cudaMalloc(&memory, 8));
  EXPECT_CUDA(cudaFree(memory));
  EXPECT_EQ(cudaGetDeviceCount(&value), cudaErrorInsufficientDriver);
  EXPECT_EQ(value, 7);
  EXPECT_CUDA(cudaGetDevice(&value));  // that was for rank 1
  setenv("OMPI_COMM_WORLD_RANK", "1", 1);
  set("FAULT", "cudaGetDevice:1:3:1");
  EXPECT_EQ(cudaGetDevice(&value), cudaErrorInitializationError);
  unsetenv("OMPI_COMM_WORLD_RANK");
}

/// Exits 0 when a fault while work runs shows at the next wait, and everywhere from then on.
void expect_broken_context() {
  const TestStream s;
  const Values<int> a(1);
  if (cudaMemsetAsync(a.get(), 0, 4, s.stream) != cudaSuccess) std::exit(1);
  if (cudaMemsetAsync(a.get(), 0, 4, s.stream) != cudaSuccess) std::exit(2);
  if (cudaStreamSynchronize(s.stream) != cudaErrorIllegalAddress) std::exit(3);
  int device = 0;
  if (cudaGetDevice(&device) != cudaErrorIllegalAddress) std::exit(4);
  if (cudaGetLastError() != cudaErrorIllegalAddress) std::exit(5);
  if (cudaGetLastError() != cudaErrorIllegalAddress) std::exit(6);
  std::quick_exit(0);
}

TEST_F(DeviceDeathTest, a_fault_of_running_work_breaks_the_context) {
  set("FAULT", "execution:2:700");
  EXPECT_EXIT(expect_broken_context(), testing::ExitedWithCode(0), "");
}

TEST_F(DeviceDeathTest, settings_that_cannot_be_meant_end_the_process) {
  const auto load = [](const char* name, const char* value) {
    setenv(name, value, 1);
    gembench_simulation_reload();
  };
  EXPECT_EXIT(load("GEMBENCH_SIMULATED_ORDER", "sideways"), testing::ExitedWithCode(2), "sideways");
  EXPECT_EXIT(load("GEMBENCH_SIMULATED_BLOCKS", "shuffle:x"), testing::ExitedWithCode(2), "BLOCKS");
  EXPECT_EXIT(load("GEMBENCH_SIMULATED_GPUS", "-1"), testing::ExitedWithCode(2), "GPUS=-1");
  EXPECT_EXIT(load("GEMBENCH_SIMULATED_FAULT", "cudaMalloc"), testing::ExitedWithCode(2), "FAULT");
  EXPECT_EXIT(load("GEMBENCH_SIMULATED_CLOCK", "wall"), testing::ExitedWithCode(2), "CLOCK=wall");
  EXPECT_EXIT(load("GEMBENCH_SIMULATED_CLOCK_OFFSET", "1:2:3"), testing::ExitedWithCode(2),
              "OFFSET");
}

TEST_F(DeviceDeathTest, counters_count_and_are_written_at_the_end) {
  const std::string file = testing::TempDir() + "gembench_simulation_counters";
  set("COUNTERS", file);
  const auto work = [] {
    gembench_simulation_reset_counters();
    void *memory = nullptr, *pinned = nullptr;
    cudaMalloc(&memory, 64);
    cudaMallocHost(&pinned, 64);
    cudaStream_t s = nullptr;
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    cudaMemcpyAsync(memory, pinned, 64, cudaMemcpyHostToDevice, s);
    cudaMemsetAsync(memory, 0, 64, s);
    cudaStreamQuery(s);
    cudaStreamSynchronize(s);
    cudaFree(memory);
    std::exit(0);
  };
  EXPECT_EXIT(work(), testing::ExitedWithCode(0), "");
  std::ifstream stream(file + ".0");
  const auto counted = nlohmann::json::parse(stream);
  const std::map<std::string, int> expected = {
      {"allocations", 1}, {"host_allocations", 1}, {"copies", 1},           {"copied_bytes", 64},
      {"sets", 1},        {"queries", 1},          {"synchronizations", 1}, {"frees", 1},
      {"live_bytes", 0},  {"peak_bytes", 64},      {"launches", 0}};
  for (const auto& [name, value] : expected) EXPECT_EQ(counted.at(name), value) << name;
}

}  // namespace
}  // namespace gembench::simulation
