#include "moe_layer/cuda/gpu.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "moe_layer/cuda/errors.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline cuda {
namespace {

constexpr int kLeastMajor = 8;  // bf16 tensor cores, and what this is compiled for

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

}  // namespace

Gpu choose_gpu(int node_rank) {
  int driver = 0, toolkit = 0, count = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&toolkit));
  cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaSuccess) count = 0;  // it may have been left as it was
  Gpu gpu;
  gpu.driver = driver == 0 ? "none" : cuda_version(driver);
  gpu.toolkit = cuda_version(toolkit);
  const auto refuse = [&](const std::string& why) {
    return Error(ExitCode::environment,
                 fmt::format("--device cuda finds no GPU to use ({}): driver for CUDA {}, toolkit "
                             "{}, {} GPUs seen: install a driver for this toolkit and ask for GPUs "
                             "in the job, or use --device cpu",
                             why, gpu.driver, gpu.toolkit, count));
  };
  if (result != cudaSuccess) throw refuse(cudaGetErrorString(result));
  if (count == 0) throw refuse("none is visible, see CUDA_VISIBLE_DEVICES");
  gpu.index = node_rank % count;
  cudaDeviceProp properties{};
  result = cudaGetDeviceProperties(&properties, gpu.index);
  if (result == cudaSuccess) result = cudaSetDevice(gpu.index);
  if (result != cudaSuccess) throw refuse(cudaGetErrorString(result));
  gpu.name = properties.name;
  gpu.uuid = uuid_text(properties.uuid);
  char pci[32] = "";
  static_cast<void>(cudaDeviceGetPCIBusId(pci, sizeof pci, gpu.index));
  gpu.pci = pci;
  if (properties.major < kLeastMajor) {
    throw refuse(fmt::format("{} has compute capability {}.{}, {}.0 is the least", gpu.name,
                             properties.major, properties.minor, kLeastMajor));
  }
  return gpu;
}

}  // namespace gembench::inline cuda
