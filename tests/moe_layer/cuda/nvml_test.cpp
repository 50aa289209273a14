// What NVML says, does not say, and is asked to do, against the simulation's.
#include "moe_layer/cuda/nvml.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

constexpr const char* kFault = "GEMBENCH_SIMULATED_FAULT";
/// Of simulated GPU 1.
constexpr const char* kUuid = "GPU-53494d55-4c41-5445-4420-475055000001";

/// Loads the fake, which reads its settings again: whoever asks for libnvidia-ml.so.1 then gets it.
class FakeLibrary {
 public:
  explicit FakeLibrary(const char* file = GEMBENCH_FAKE_NVML)
      : handle_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) throw std::runtime_error(dlerror());
    reinterpret_cast<void (*)()>(dlsym(handle_, "gembench_fake_nvml_reload"))();
  }
  ~FakeLibrary() { dlclose(handle_); }
  FakeLibrary(const FakeLibrary&) = delete;
  FakeLibrary& operator=(const FakeLibrary&) = delete;

 private:
  void* handle_;
};

std::string refusal(cuda::Nvml& nvml) {
  try {
    nvml.lock_clocks(1200);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::environment);
    return error.what();
  }
  ADD_FAILURE() << "clocks were locked";
  return {};
}

TEST(CudaNvml, tells_clocks_power_and_temperature) {
  const FakeLibrary fake;
  const cuda::Nvml nvml(kUuid);
  const DeviceState state = nvml.state();
  EXPECT_EQ(state.clock, 1.5e9);
  EXPECT_EQ(state.memory_clock, 2e9);
  EXPECT_EQ(state.power, 123);
  EXPECT_EQ(state.temperature, 45);
  EXPECT_EQ(state.throttle_reasons, 4);
  EXPECT_EQ(nvml.state().energy, state.energy + 1);
  EXPECT_EQ(nvml.driver(), "0.0 (simulated)");
}

TEST(CudaNvml, power_is_of_the_moment_where_the_driver_tells_it) {
  {
    const FakeLibrary fake;
    EXPECT_EQ(cuda::Nvml(kUuid).power_source(),
              "by nvmlDeviceGetPowerUsage, on most GPUs a mean over 1 s");
  }
  const Simulated script("GEMBENCH_SIMULATED_NVML_SCRIPT", "0,1900,400,60,2;1000,1900,400,60,2");
  {
    const FakeLibrary fake;
    const cuda::Nvml nvml(kUuid);
    EXPECT_EQ(nvml.state().power, 401);
    EXPECT_EQ(nvml.power_source(), "at the moment (NVML_FI_DEV_POWER_INSTANT)");
    const double before = nvml.state().energy;
    usleep(20'000);
    EXPECT_GT(nvml.state().energy, before + 7);  // 400 W for 20 ms at least
  }
  {
    const FakeLibrary fake(GEMBENCH_PARTIAL_NVML);  // lacks the call
    EXPECT_EQ(cuda::Nvml(kUuid).state().power, 400);
  }
  // What it stops telling is missing: a series is of one kind.
  const Simulated fault(kFault, "nvmlDeviceGetFieldValues:2:3");
  const FakeLibrary fake;
  const cuda::Nvml nvml(kUuid);
  EXPECT_TRUE(std::isnan(nvml.state().power));
  EXPECT_EQ(nvml.state().power, 401);
}

TEST(CudaNvml, what_one_call_does_not_tell_is_missing_alone) {
  const Simulated fault(kFault, "nvmlDeviceGetPowerUsage:1:3");
  const FakeLibrary fake;
  const DeviceState state = cuda::Nvml(kUuid).state();
  EXPECT_TRUE(std::isnan(state.power));
  EXPECT_EQ(state.temperature, 45);
}

TEST(CudaNvml, nothing_is_told_of_an_unknown_gpu_or_without_a_driver) {
  {
    const FakeLibrary fake;
    cuda::Nvml nvml("GPU-00000000-0000-0000-0000-000000000000");
    EXPECT_TRUE(std::isnan(nvml.state().clock));
    EXPECT_EQ(nvml.state().throttle_reasons, -1);
    EXPECT_NE(refusal(nvml).find("does not know the GPU"), std::string::npos);
  }
  const Simulated fault(kFault, "nvmlInit_v2:1:9");
  const FakeLibrary fake;
  cuda::Nvml nvml(kUuid);
  EXPECT_TRUE(std::isnan(nvml.state().clock));
  EXPECT_EQ(nvml.driver(), "not known");
  EXPECT_NE(refusal(nvml).find("NVML is missing"), std::string::npos);
}

TEST(CudaNvml, calls_that_a_library_lacks_are_missing_alone) {
  const FakeLibrary fake(GEMBENCH_PARTIAL_NVML);
  cuda::Nvml nvml(kUuid);
  EXPECT_EQ(nvml.state().clock, 1.5e9);
  EXPECT_EQ(nvml.state().throttle_reasons, 4);  // by the call's newer name
  EXPECT_EQ(nvml.driver(), "0.0 (simulated)");
  EXPECT_NE(refusal(nvml).find("this NVML cannot do it"), std::string::npos);
}

TEST(CudaNvml, clocks_are_locked_and_set_free) {
  const auto log = std::filesystem::temp_directory_path() /
                   ("gembench-nvml-" + std::to_string(getpid()) + ".log");
  const Simulated to_log("GEMBENCH_SIMULATED_NVML_LOG", log);
  const FakeLibrary fake;
  { cuda::Nvml(kUuid).lock_clocks(1200); }
  std::stringstream text;
  text << std::ifstream(log).rdbuf();
  std::filesystem::remove(log);
  EXPECT_EQ(text.str(), "lock 1 1200 1200\nreset 1\n");
}

TEST(CudaNvml, who_has_no_right_to_lock_is_told_what_to_do) {
  const Simulated fault(kFault, "nvmlDeviceSetGpuLockedClocks:1:4");
  const FakeLibrary fake;
  cuda::Nvml nvml(kUuid);
  const std::string text = refusal(nvml);
  EXPECT_NE(text.find("Insufficient Permissions"), std::string::npos) << text;
  EXPECT_NE(text.find("nvidia-smi -lgc 1200"), std::string::npos) << text;
}

}  // namespace
}  // namespace gembench
