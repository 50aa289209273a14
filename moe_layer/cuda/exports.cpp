// The symbols that the program looks up in libgembench_cuda.so.
#include "git_commit.hpp"  // made by the build
#include "moe_layer/cuda/cuda_device.hpp"

extern "C" const char* gembench_cuda_commit() {
  return GEMBENCH_GIT;
}

extern "C" gembench::Device* gembench_make_cuda_device(const gembench::Comm& comm,
                                                       const gembench::ModelShape& model,
                                                       const gembench::CudaOptions& options) {
  return new gembench::cuda::CudaDevice(comm, model, options);
}
