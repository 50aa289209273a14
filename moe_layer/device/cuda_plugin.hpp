#pragma once

#include <memory>
#include <string>

#include "moe_layer/device/device.hpp"
#include "moe_layer/mpi/comm.hpp"

/// The CUDA device is in a separate library, libgembench_cuda.so, in the executable's folder (where
/// installed, in lib/gembench/ below the prefix). It is loaded only when needed: a program that
/// links cuBLAS and NCCL starts 0.1 s later, needs 220 MB more memory, and does not start if they
/// are missing.
namespace gembench::inline device {

struct CudaOptions {
  DType dtype = DType::bf16;
  std::string transport = "auto";        ///< auto, nccl or mpi
  int lock_clocks = 0;                   ///< MHz, 0 = as they are
  std::string expert_products = "auto";  ///< how experts' products are computed: see the GUIDE
  std::string earlier_products = {};     ///< the fact expert_products of the run that goes on
  bool graph = false;  ///< steps are recorded (DeviceGraphs): tries ways to compute so too
};

/// What the library exports. Library and program share classes, so they must be of one build.
inline constexpr const char* kCudaPluginCommit = "gembench_cuda_commit";  ///< const char*()
inline constexpr const char* kCudaPluginMake = "gembench_make_cuda_device";

/// This rank's GPU. Local; connect() is the collective part. `commit`: the program's, which the
/// library must have been built from too. Environment error, with what was found, if there is no
/// library, driver or GPU.
[[nodiscard]] std::unique_ptr<Device> make_cuda_device(const Comm& comm, const ModelShape& model,
                                                       const CudaOptions& options,
                                                       const std::string& commit);

/// Whether the library is there; says nothing about driver and GPU.
[[nodiscard]] bool has_cuda_plugin();

}  // namespace gembench::inline device
