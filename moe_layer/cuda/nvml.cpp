#include "moe_layer/cuda/nvml.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <optional>
#include <type_traits>

#include "placement/base/error.hpp"

namespace gembench::inline cuda {

// The toolkit may come without nvml.h, so what is used of it is declared here: handles are
// pointers, results and enumerations int, 0 is success. Names and numbers are those of NVIDIA's
// NVML API reference.
struct Nvml::Library {
  static constexpr int kGraphicsClock = 1;  // NVML_CLOCK_SM
  static constexpr int kMemoryClock = 2;    // NVML_CLOCK_MEM
  static constexpr int kGpuSensor = 0;      // NVML_TEMPERATURE_GPU

  /// nvmlFieldValue_t
  struct Field {
    static constexpr unsigned kPowerInstant = 186;  // NVML_FI_DEV_POWER_INSTANT, milliwatts
    static constexpr int kUnsigned = 1;             // NVML_VALUE_TYPE_UNSIGNED_INT
    unsigned id = kPowerInstant, scope = 0;         // scope 0: the GPU, not the module around it
    long long timestamp = 0, latency = 0;           // us
    int type = -1, result = -1;
    union {
      unsigned number;
      unsigned long long other;
    } value{.other = 0};
  };
  static_assert(sizeof(Field) == 40 && offsetof(Field, value) == 32);

  void* handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*words)(int) = nullptr;
  int (*driver_version)(char*, unsigned) = nullptr;
  int (*device_by_uuid)(const char*, void**) = nullptr;
  int (*clock)(void*, int, unsigned*) = nullptr;
  int (*power)(void*, unsigned*) = nullptr;
  int (*fields)(void*, int, Field*) = nullptr;
  int (*temperature)(void*, int, unsigned*) = nullptr;
  int (*reasons)(void*, unsigned long long*) = nullptr;
  int (*energy)(void*, unsigned long long*) = nullptr;
  int (*lock)(void*, unsigned, unsigned) = nullptr;
  int (*unlock)(void*) = nullptr;
  bool ready = false;

  /// Whether the call is there and succeeds. Versions of the library differ in the calls they have.
  template <class... P>
  static bool told(int (*call)(P...), std::type_identity_t<P>... arguments) {
    return call != nullptr && call(arguments...) == 0;
  }

  /// Milliwatts at this moment; none: this driver or GPU does not tell.
  [[nodiscard]] std::optional<unsigned> instant_power(void* device) const {
    Field field;
    const bool known = told(fields, device, 1, &field) && field.result == 0 &&
                       field.type == Field::kUnsigned && field.id == Field::kPowerInstant;
    return known ? std::optional(field.value.number) : std::nullopt;
  }

  Library() {
    if (handle == nullptr) return;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
    };
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(words, "nvmlErrorString");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(device_by_uuid, "nvmlDeviceGetHandleByUUID");
    find(clock, "nvmlDeviceGetClockInfo");
    find(power, "nvmlDeviceGetPowerUsage");
    find(fields, "nvmlDeviceGetFieldValues");
    find(temperature, "nvmlDeviceGetTemperature");
    find(reasons, "nvmlDeviceGetCurrentClocksEventReasons");  // its name since driver 535
    if (reasons == nullptr) find(reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
    find(energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(lock, "nvmlDeviceSetGpuLockedClocks");
    find(unlock, "nvmlDeviceResetGpuLockedClocks");
    ready = init != nullptr && shutdown != nullptr && init() == 0;
  }
  ~Library() {
    if (ready) shutdown();
    if (handle != nullptr) dlclose(handle);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

Nvml::Nvml(const std::string& uuid) : library_(std::make_unique<Library>()) {
  if (!library_->ready || !Library::told(library_->device_by_uuid, uuid.c_str(), &device_)) {
    device_ = nullptr;
  }
  // Decided once: a series is not of two kinds.
  instant_power_ = device_ != nullptr && library_->instant_power(device_).has_value();
}

Nvml::~Nvml() {
  if (locked_) Library::told(library_->unlock, device_);
}

DeviceState Nvml::state() const {
  DeviceState state;
  if (device_ == nullptr) return state;
  constexpr double kMega = 1e6, kMilli = 1e-3;
  unsigned value = 0;
  const auto reads = [&](auto call, auto... what) {
    return Library::told(call, device_, what..., &value);
  };
  if (reads(library_->clock, Library::kGraphicsClock)) state.clock = value * kMega;
  if (reads(library_->clock, Library::kMemoryClock)) state.memory_clock = value * kMega;
  if (instant_power_) {
    if (const auto now = library_->instant_power(device_)) state.power = *now * kMilli;
  } else if (reads(library_->power)) {
    state.power = value * kMilli;
  }
  if (reads(library_->temperature, Library::kGpuSensor)) state.temperature = value;
  unsigned long long reasons = 0;
  if (Library::told(library_->reasons, device_, &reasons)) {
    state.throttle_reasons = static_cast<std::int64_t>(reasons);
  }
  unsigned long long millijoules = 0;
  if (Library::told(library_->energy, device_, &millijoules)) {
    state.energy = static_cast<double>(millijoules) * kMilli;
  }
  return state;
}

std::string Nvml::power_source() const {
  if (device_ == nullptr || std::isnan(state().power)) return "not known";
  return instant_power_ ? "at the moment (NVML_FI_DEV_POWER_INSTANT)"
                        : "by nvmlDeviceGetPowerUsage, on most GPUs a mean over 1 s";
}

std::string Nvml::driver() const {
  char text[96] = "";
  const bool told = library_->ready && Library::told(library_->driver_version, text, sizeof text);
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
  // What cannot be unlocked is not locked.
  if (library_->lock == nullptr || library_->unlock == nullptr) {
    throw refuse("this NVML cannot do it");
  }
  const auto clock = static_cast<unsigned>(mhz);
  const int result = library_->lock(device_, clock, clock);
  if (result != 0) {
    throw refuse(library_->words != nullptr ? library_->words(result)
                                            : fmt::format("NVML's error {}", result));
  }
  locked_ = true;
}

}  // namespace gembench::inline cuda
