#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "moe_layer/device/cuda_plugin.hpp"
#include "moe_layer/device/device.hpp"
#include "tests/bench/pairs.hpp"

/// What the benches of the CUDA device share. They are linked with it, real or simulated, and not
/// through the plugin: NCCL and cuBLAS alone are to see the same memory and streams.
extern "C" gembench::Device* gembench_make_cuda_device(const gembench::Comm& comm,
                                                       const gembench::ModelShape& model,
                                                       const gembench::CudaOptions& options);

namespace gembench::bench {

inline std::unique_ptr<Device> make_gpu(const Comm& comm, const ModelShape& model,
                                        const std::string& transport = "auto",
                                        const std::string& products = "auto") {
  CudaOptions options;
  options.transport = transport;
  options.expert_products = products;
  std::unique_ptr<Device> device(gembench_make_cuda_device(comm, model, options));
  device->connect();
  return device;
}

/// Results of CUDA, cuBLAS and NCCL alike: 0 is success.
template <class Result>
void require(Result result, const char* call) {
  if (static_cast<int>(result) == 0) return;
  throw std::runtime_error(fmt::format("{} failed: {}", call, static_cast<int>(result)));
}

/// For compare(): which device it was, and how much work (FLOP or bytes) a repetition is on a rank.
inline std::string facts_of(const Device& device, const char* unit = "", double work = 0) {
  return fmt::format(R"(,"device":"{}","unit":"{}","work":{:.9g})", device.name(), unit, work);
}

}  // namespace gembench::bench
