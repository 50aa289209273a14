// What the simulated GPUs say about themselves, and the names of errors.

#include <cuda_runtime_api.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <utility>

#include "tests/cuda_simulation/environment.hpp"
#include "tests/cuda_simulation/runtime.hpp"

namespace gembench::simulation {
namespace {

int the_device = 0;

constexpr int kMultiprocessors = 4;  // few, so that grids which fit the device loop
constexpr int kMinor = 0;
constexpr int kShared = 48 << 10, kSharedOptin = 227 << 10, kSharedMultiprocessor = 228 << 10;
constexpr int kThreads = 1024, kThreadsMultiprocessor = 2048;
constexpr int kL2 = 64 << 10;  // small: it is swept by the host

bool exists(int device) {
  return device >= 0 && device < settings().gpus;
}

/// Says what it is, and which.
cudaUUID_t uuid_of(int device) {
  cudaUUID_t uuid{};
  std::memcpy(uuid.bytes, "SIMULATED GPU", 13);
  uuid.bytes[15] = static_cast<char>(device);
  return uuid;
}

constexpr std::array<std::pair<cudaError_t, std::pair<const char*, const char*>>, 30> kErrors = {{
    {cudaSuccess, {"cudaSuccess", "no error"}},
    {cudaErrorInvalidValue, {"cudaErrorInvalidValue", "invalid argument"}},
    {cudaErrorMemoryAllocation, {"cudaErrorMemoryAllocation", "out of memory"}},
    {cudaErrorInitializationError, {"cudaErrorInitializationError", "initialization error"}},
    {cudaErrorInvalidConfiguration,
     {"cudaErrorInvalidConfiguration", "invalid configuration argument"}},
    {cudaErrorInsufficientDriver,
     {"cudaErrorInsufficientDriver",
      "CUDA driver version is insufficient for CUDA runtime version"}},
    {cudaErrorInvalidDeviceFunction, {"cudaErrorInvalidDeviceFunction", "invalid device function"}},
    {cudaErrorNoDevice, {"cudaErrorNoDevice", "no CUDA-capable device is detected"}},
    {cudaErrorInvalidDevice, {"cudaErrorInvalidDevice", "invalid device ordinal"}},
    {cudaErrorECCUncorrectable,
     {"cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"}},
    {cudaErrorInvalidResourceHandle, {"cudaErrorInvalidResourceHandle", "invalid resource handle"}},
    {cudaErrorNotReady, {"cudaErrorNotReady", "device not ready"}},
    {cudaErrorIllegalAddress,
     {"cudaErrorIllegalAddress", "an illegal memory access was encountered"}},
    {cudaErrorLaunchOutOfResources,
     {"cudaErrorLaunchOutOfResources", "too many resources requested for launch"}},
    {cudaErrorLaunchTimeout, {"cudaErrorLaunchTimeout", "the launch timed out and was terminated"}},
    {cudaErrorMisalignedAddress, {"cudaErrorMisalignedAddress", "misaligned address"}},
    {cudaErrorLaunchFailure, {"cudaErrorLaunchFailure", "unspecified launch failure"}},
    {cudaErrorNotSupported, {"cudaErrorNotSupported", "operation not supported"}},
    {cudaErrorSystemNotReady, {"cudaErrorSystemNotReady", "system not yet initialized"}},
    {cudaErrorStreamCaptureUnsupported,
     {"cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"}},
    {cudaErrorStreamCaptureInvalidated,
     {"cudaErrorStreamCaptureInvalidated",
      "operation failed due to a previous error during capture"}},
    {cudaErrorStreamCaptureMerge,
     {"cudaErrorStreamCaptureMerge",
      "operation would result in a merge of separate capture sequences"}},
    {cudaErrorStreamCaptureUnmatched,
     {"cudaErrorStreamCaptureUnmatched", "capture was not ended in the same stream as it began"}},
    {cudaErrorStreamCaptureUnjoined,
     {"cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"}},
    {cudaErrorStreamCaptureIsolation,
     {"cudaErrorStreamCaptureIsolation",
      "dependency created on uncaptured work in another stream"}},
    {cudaErrorStreamCaptureImplicit,
     {"cudaErrorStreamCaptureImplicit",
      "operation would make the legacy stream depend on a capturing blocking stream"}},
    {cudaErrorCapturedEvent,
     {"cudaErrorCapturedEvent",
      "operation not permitted on an event last recorded in a capturing stream"}},
    {cudaErrorIllegalState,
     {"cudaErrorIllegalState", "the operation cannot be performed in the present state"}},
    {cudaErrorGraphExecUpdateFailure,
     {"cudaErrorGraphExecUpdateFailure",
      "the graph update was not performed because it included changes which violated constraints "
      "specific to instantiated graph update"}},
    {cudaErrorUnknown, {"cudaErrorUnknown", "unknown error"}},
}};

}  // namespace

int current_device() {
  return the_device;
}

}  // namespace gembench::simulation

using namespace gembench::simulation;

const char* cudaGetErrorName(cudaError_t error) {
  for (const auto& [code, texts] : kErrors) {
    if (code == error) return texts.first;
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  for (const auto& [code, texts] : kErrors) {
    if (code == error) return texts.second;
  }
  return "unrecognized error code";
}

cudaError_t cudaGetDeviceCount(int* count) {
  if (const auto error = enter("cudaGetDeviceCount")) return failed(error);
  *count = settings().gpus;
  return *count > 0 ? cudaSuccess : failed(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
  if (const auto error = enter("cudaSetDevice")) return failed(error);
  if (!exists(device)) return failed(cudaErrorInvalidDevice);
  the_device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  if (const auto error = enter("cudaGetDevice")) return failed(error);
  *device = the_device;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  if (const auto error = enter("cudaDriverGetVersion")) return failed(error);
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (const auto error = enter("cudaRuntimeGetVersion")) return failed(error);
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  if (const auto error = enter("cudaDeviceGetPCIBusId")) return failed(error);
  if (!exists(device)) return failed(cudaErrorInvalidDevice);
  const int needed = std::snprintf(text, static_cast<std::size_t>(length), "0000:%02X:00.0",
                                   static_cast<unsigned>(device + 1));
  return needed < length ? cudaSuccess : failed(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* to, int device) {
  if (const auto error = enter("cudaGetDeviceProperties")) return failed(error);
  if (!exists(device)) return failed(cudaErrorInvalidDevice);
  cudaDeviceProp properties{};
  std::snprintf(properties.name, sizeof(properties.name),
                "simulated GPU (no GPU: times are CPU times)");
  properties.uuid = uuid_of(device);
  properties.totalGlobalMem = settings().memory;
  properties.sharedMemPerBlock = kShared;
  properties.sharedMemPerBlockOptin = kSharedOptin;
  properties.sharedMemPerMultiprocessor = kSharedMultiprocessor;
  properties.regsPerBlock = properties.regsPerMultiprocessor = 65536;
  properties.warpSize = 32;
  properties.maxThreadsPerBlock = kThreads;
  properties.maxThreadsDim[0] = properties.maxThreadsDim[1] = kThreads;
  properties.maxThreadsDim[2] = 64;
  properties.maxGridSize[0] = 0x7FFFFFFF;
  properties.maxGridSize[1] = properties.maxGridSize[2] = 65535;
  properties.major = settings().capability;
  properties.minor = kMinor;
  properties.multiProcessorCount = kMultiprocessors;
  properties.maxThreadsPerMultiProcessor = kThreadsMultiprocessor;
  properties.maxBlocksPerMultiProcessor = 32;
  properties.l2CacheSize = kL2;
  properties.concurrentKernels = properties.unifiedAddressing = properties.canMapHostMemory = 1;
  properties.asyncEngineCount = 2;
  properties.pciBusID = device + 1;
  *to = properties;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  if (const auto error = enter("cudaDeviceGetAttribute")) return failed(error);
  if (!exists(device)) return failed(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = settings().capability;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = kMinor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = kShared;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = kSharedOptin;
      return cudaSuccess;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = kThreads;
      return cudaSuccess;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = kThreadsMultiprocessor;
      return cudaSuccess;
    case cudaDevAttrWarpSize:
      *value = 32;
      return cudaSuccess;
    case cudaDevAttrL2CacheSize:
      *value = kL2;
      return cudaSuccess;
    default:
      say("no value is known for device attribute " + std::to_string(attribute));
      return failed(cudaErrorInvalidValue);
  }
}
