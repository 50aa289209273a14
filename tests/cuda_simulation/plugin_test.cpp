// The simulation inside of shared objects that are loaded at run time: as a plugin that launches
// a kernel, and as NVML.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cuda_simulation/counters.hpp"

namespace gembench::simulation {
namespace {

template <class F>
F* function_of(void* library, const char* name) {
  auto* found = reinterpret_cast<F*>(dlsym(library, name));
  EXPECT_NE(found, nullptr) << name;
  return found;
}

TEST(Plugin, runs_a_kernel_and_counts_it) {
  void* plugin = dlopen(GEMBENCH_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << dlerror();
  EXPECT_EQ(function_of<int(int)>(plugin, "doubled_on_the_device")(21), 42);
  const auto* count =
      function_of<const GembenchSimulationCounters*()>(plugin, "gembench_simulation_counters")();
  EXPECT_EQ(count->launches, 1);
  EXPECT_EQ(count->live_bytes, 0);
}

TEST(Nvml, answers_for_simulated_gpus_and_notes_what_is_locked) {
  void* nvml = dlopen(GEMBENCH_FAKE_NVML, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(nvml, nullptr) << dlerror();
  const std::string log = testing::TempDir() + "gembench_simulation_nvml";
  std::remove(log.c_str());
  setenv("GEMBENCH_SIMULATED_NVML_LOG", log.c_str(), 1);
  setenv("GEMBENCH_SIMULATED_FAULT", "nvmlDeviceSetGpuLockedClocks:2:4", 1);
  auto* by_uuid = function_of<int(const char*, void**)>(nvml, "nvmlDeviceGetHandleByUUID");
  auto* lock = function_of<int(void*, unsigned, unsigned)>(nvml, "nvmlDeviceSetGpuLockedClocks");
  void* gpu = nullptr;
  const char* uuid = "GPU-53494d55-4c41-5445-4420-475055000003";
  EXPECT_EQ(by_uuid(uuid, &gpu), 1);  // not initialised
  EXPECT_EQ(function_of<int()>(nvml, "nvmlInit_v2")(), 0);
  EXPECT_EQ(by_uuid("GPU-00000000-0000-0000-0000-000000000000", &gpu), 6);
  ASSERT_EQ(by_uuid(uuid, &gpu), 0);
  unsigned value = 0;
  EXPECT_EQ(function_of<int(void*, unsigned*)>(nvml, "nvmlDeviceGetPowerUsage")(gpu, &value), 0);
  EXPECT_EQ(value, 123000U);
  unsigned long long reasons = 0;
  EXPECT_EQ(function_of<int(void*, unsigned long long*)>(
                nvml, "nvmlDeviceGetCurrentClocksThrottleReasons")(gpu, &reasons),
            0);
  EXPECT_EQ(reasons, 4U);
  EXPECT_EQ(lock(gpu, 1200, 1300), 0);
  EXPECT_EQ(lock(gpu, 1, 2), 4);
  EXPECT_STREQ(function_of<const char*(int)>(nvml, "nvmlErrorString")(4),
               "Insufficient Permissions");
  EXPECT_EQ(function_of<int(void*)>(nvml, "nvmlDeviceResetGpuLockedClocks")(gpu), 0);
  EXPECT_EQ(function_of<int()>(nvml, "nvmlShutdown")(), 0);
  std::ostringstream text;
  text << std::ifstream(log).rdbuf();
  EXPECT_EQ(text.str(), "lock 3 1200 1300\nreset 3\n");
}

}  // namespace
}  // namespace gembench::simulation
