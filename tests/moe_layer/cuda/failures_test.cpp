// What a user sees when a GPU, a library or another rank fails.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include "moe_layer/cuda/gpu.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr int kTokens = 64;  // enough for every rank to have pairs

/// The error of `work`, whose code must be `code`.
template <class F>
std::string error_of(ExitCode code, F&& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(CudaFailures, no_gpu_says_which_driver_toolkit_and_count_were_seen) {
  const Comm comm = Comm::world();
  const auto make = [&] { static_cast<void>(make_simulated(comm, small_model(0), DType::f32)); };
  {
    const Simulated none("GEMBENCH_SIMULATED_GPUS", "0");
    const std::string text = error_of(ExitCode::environment, make);
    EXPECT_TRUE(has(text, "driver for CUDA") && has(text, "toolkit 13") && has(text, "0 GPUs") &&
                has(text, "--device cpu"))
        << text;
  }
  constexpr int kInsufficientDriver = 35;
  const Simulated fault("GEMBENCH_SIMULATED_FAULT",
                        "cudaGetDeviceCount:1:" + std::to_string(kInsufficientDriver));
  const std::string text = error_of(ExitCode::environment, make);
  EXPECT_TRUE(has(text, "0 GPUs")) << text;
}

TEST(CudaFailures, a_variable_that_makes_f32_products_inexact_is_refused) {
  const Comm comm = Comm::world();
  const auto make = [&] { static_cast<void>(make_simulated(comm, small_model(0), DType::f32)); };
  for (const char* name : {"NVIDIA_TF32_OVERRIDE", "CUBLAS_EMULATE_SINGLE_PRECISION"}) {
    for (const char* value : {"1", "yes"}) {
      const Simulated inexact(name, value);
      const std::string text = error_of(ExitCode::environment, make);
      EXPECT_TRUE(has(text, fmt::format("{} is set to '{}'", name, value)) && has(text, "unset it"))
          << text;
    }
    for (const char* value : {"0", ""}) {
      const Simulated exact(name, value);
      make();
    }
  }
}

TEST(CudaFailures, a_gpu_that_is_too_old_is_named) {
  const Simulated old("GEMBENCH_SIMULATED_CAPABILITY", "7");
  const std::string text =
      error_of(ExitCode::environment, [] { static_cast<void>(cuda::choose_gpu(0)); });
  EXPECT_TRUE(has(text, "simulated GPU") && has(text, "compute capability 7.0, 8.0 is the least"))
      << text;
}

TEST(CudaFailures, a_gpu_that_cannot_be_had_says_why) {
  constexpr int kNotReady = 802;
  for (const char* call : {"cudaGetDeviceProperties", "cudaSetDevice"}) {
    const Simulated fault("GEMBENCH_SIMULATED_FAULT", fmt::format("{}:1:{}", call, kNotReady));
    const std::string text =
        error_of(ExitCode::environment, [] { static_cast<void>(cuda::choose_gpu(0)); });
    EXPECT_TRUE(has(text, "system not yet initialized")) << text;
  }
}

TEST(CudaFailures, ranks_beyond_the_gpus_share_them) {
  const Simulated two("GEMBENCH_SIMULATED_GPUS", "2");
  EXPECT_EQ(cuda::choose_gpu(0).index, 0);
  EXPECT_EQ(cuda::choose_gpu(1).index, 1);
  EXPECT_EQ(cuda::choose_gpu(2).index, 0);
  EXPECT_EQ(cuda::choose_gpu(2).uuid, cuda::choose_gpu(0).uuid);
  EXPECT_NE(cuda::choose_gpu(1).uuid, cuda::choose_gpu(0).uuid);
}

TEST(CudaFailures, out_of_memory_says_how_much_and_what_shrinks_it) {
  const Comm comm = Comm::world();
  const auto device = make_simulated(comm, small_model(0), DType::f32);
  const std::string text = error_of(
      ExitCode::environment, [&] { static_cast<void>(device->allocate(std::size_t{20} << 30)); });
  EXPECT_TRUE(has(text, "20480.0 MiB of device memory") && has(text, "--tokens") &&
              has(text, "GPU " + std::to_string(comm.rank())))
      << text;
  EXPECT_GT(device->allocate(1 << 20).bytes(), 0U);  // what fits still does
  constexpr int kOutOfMemory = 2;
  const Simulated fault("GEMBENCH_SIMULATED_FAULT",
                        "cudaMallocHost:1:" + std::to_string(kOutOfMemory));
  EXPECT_TRUE(has(error_of(ExitCode::environment,
                           [&] {
                             device->prepare({4, 4, 4});
                           }),
                  "pinned host memory"));
}

/// A layer in which one call fails names rank, GPU, call, layer and phase. Every rank has the same
/// fault, so that none waits for another.
class FailingCall : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(FailingCall, is_named_with_its_gpu_and_layer) {
  const auto [fault, call] = GetParam();
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  rig.load();
  static_cast<void>(rig.layers->run_layer(0));
  const Simulated injected("GEMBENCH_SIMULATED_FAULT", fault);
  const std::string text =
      error_of(ExitCode::failed, [&] { static_cast<void>(rig.layers->run_layer(1)); });
  const std::string rank = std::to_string(rig.comm.rank());
  EXPECT_TRUE(has(text, "GPU " + rank + " of rank " + rank)) << text;
  EXPECT_TRUE(has(text, call)) << text;
  EXPECT_TRUE(has(text, "layer 1, ")) << text;
}

INSTANTIATE_TEST_SUITE_P(
    Calls, FailingCall,
    testing::Values(std::pair{"cudaLaunchKernelExC:1:98", "norm_rows"},
                    std::pair{"cublasGemmEx:1:13", "cublasGemmEx"},
                    std::pair{"cublasGemmGroupedBatchedEx:2:13", "cublasGemmGroupedBatchedEx"},
                    std::pair{"cudaMemcpyAsync:1:1", "cudaMemcpyAsync"},
                    std::pair{"ncclGroupStart:1:1", "ncclGroupStart"},
                    // Waits are queries where there are peers.
                    std::pair{"cudaEventSynchronize:1:700,cudaEventQuery:1:700", "cudaEvent"}));

TEST(CudaFailures, a_message_that_nccl_refuses_leaves_no_group_open) {
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  if (rig.comm.size() == 1) return;  // nobody to send to
  rig.use(random_placement(rig.model, rig.comm.size(), 1));
  rig.load();
  const Simulated refused("GEMBENCH_SIMULATED_FAULT", "ncclSend:1:4");
  const std::string text =
      error_of(ExitCode::failed, [&] { static_cast<void>(rig.layers->run_layer(0)); });
  EXPECT_TRUE(has(text, "ncclSend failed (layer 0, dispatch)")) << text;
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);  // there is none to end
}

TEST(CudaFailures, what_nccl_learns_of_another_rank_ends_the_wait) {
  CudaRig rig(small_model(0), DType::bf16, kTokens);
  const int ranks = rig.comm.size(), rank = rig.comm.rank();
  if (ranks == 1) return;  // nobody to wait for
  const Simulated injected("GEMBENCH_SIMULATED_FAULT", "ncclCommGetAsyncError:1:6");
  Buffer in = rig.device->allocate(64);
  const std::vector<std::int32_t> none(static_cast<std::size_t>(ranks));
  auto one = none;
  one[static_cast<std::size_t>((rank + 1) % ranks)] = 1;  // which never sends
  const RowExchange part{&in, none, &in, one, 64};
  const Stream stream = rig.device->make_stream();
  rig.device->enter("dispatch", 3);
  const std::string text = error_of(ExitCode::failed, [&] {
    rig.device->exchange(stream, {&part, 1});
    rig.device->synchronize(stream);
  });
  const std::string who = std::to_string(rank);
  EXPECT_TRUE(has(text, "GPU " + who + " of rank " + who + ": NCCL failed (layer 3, dispatch)"))
      << text;
}

}  // namespace
}  // namespace gembench
