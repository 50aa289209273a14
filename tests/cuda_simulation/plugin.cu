// A plugin as small as can be, for plugin_test.cpp.

#include "tests/cuda_simulation/launch_for_tests.hpp"

namespace {

__global__ void double_kernel(int* value) {
  *value *= 2;
}

}  // namespace

extern "C" int doubled_on_the_device(int value) {
  void* memory = nullptr;
  if (cudaMalloc(&memory, sizeof(int)) != cudaSuccess) return -1;
  cudaMemcpy(memory, &value, sizeof(int), cudaMemcpyHostToDevice);
  gembench::simulation::launch(nullptr, 1, 1, 0, double_kernel, static_cast<int*>(memory));
  cudaMemcpy(&value, memory, sizeof(int), cudaMemcpyDeviceToHost);
  cudaFree(memory);
  return value;
}
