#include "moe_layer/cuda/nvml.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include "placement/base/error.hpp"

namespace gembench::inline cuda {

// The toolkit may come without nvml.h, so what is used of it is declared here: handles are
// pointers, results and enumerations int, 0 is success. Names and numbers are those of NVIDIA's
// NVML API reference.
struct Nvml::Library {
  static constexpr int kGraphicsClock = 1;  // NVML_CLOCK_SM
  static constexpr int kMemoryClock = 2;    // NVML_CLOCK_MEM
  static constexpr int kGpuSensor = 0;      // NVML_TEMPERATURE_GPU

  void* handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*words)(int) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*device_by_uuid)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*power)(void*, unsigned*) = nullptr;
  int (*temperature)(void*, int, unsigned*) = nullptr;
  int (*reasons)(void*, unsigned long long*) = nullptr;
  int (*lock)(void*, unsigned, unsigned) = nullptr;
  int (*unlock)(void*) = nullptr;
  bool ready = false;

  Library() {
    if (handle == nullptr) return;
    bool all = true;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      all = all && function != nullptr;
    };
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(words, "nvmlErrorString");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(device_by_uuid, "nvmlDeviceGetHandleByUUID");
    find(clock, "nvmlDeviceGetClockInfo");
    find(power, "nvmlDeviceGetPowerUsage");
    find(temperature, "nvmlDeviceGetTemperature");
    find(reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
    find(lock, "nvmlDeviceSetGpuLockedClocks");
    find(unlock, "nvmlDeviceResetGpuLockedClocks");
    ready = all && init() == 0;
  }
  ~Library() {
    if (ready) shutdown();
    if (handle != nullptr) dlclose(handle);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

Nvml::Nvml(const std::string& uuid) : library_(std::make_unique<Library>()) {
  if (library_->ready && library_->device_by_uuid(uuid.c_str(), &device_) != 0) device_ = nullptr;
}

Nvml::~Nvml() {
  if (locked_) library_->unlock(device_);
}

DeviceState Nvml::state() const {
  DeviceState state;
  if (device_ == nullptr) return state;
  constexpr double kMega = 1e6, kMilli = 1e-3;
  unsigned value = 0;
  if (library_->clock(device_, Library::kGraphicsClock, &value) == 0) state.clock = value * kMega;
  if (library_->clock(device_, Library::kMemoryClock, &value) == 0) {
    state.memory_clock = value * kMega;
  }
  if (library_->power(device_, &value) == 0) state.power = value * kMilli;
  if (library_->temperature(device_, Library::kGpuSensor, &value) == 0) state.temperature = value;
  unsigned long long reasons = 0;
  if (library_->reasons(device_, &reasons) == 0) {
    state.throttle_reasons = static_cast<std::int64_t>(reasons);
  }
  return state;
}

std::string Nvml::driver() const {
  char text[96] = "";
  const bool told = library_->ready && library_->driver_version(text, sizeof text) == 0;
  return told ? text : "not known";
}

void Nvml::lock_clocks(int mhz) {
  const auto refuse = [&](const std::string& why) {
    return Error(ExitCode::environment,
                 fmt::format("--lock-clocks {} failed ({}): run as root, have an "
                             "administrator run nvidia-smi -lgc {}, or drop --lock-clocks",
                             mhz, why, mhz));
  };
  if (device_ == nullptr) throw refuse("NVML is missing or does not know the GPU");
  const auto clock = static_cast<unsigned>(mhz);
  const int result = library_->lock(device_, clock, clock);
  if (result != 0) throw refuse(library_->words(result));
  locked_ = true;
}

}  // namespace gembench::inline cuda
