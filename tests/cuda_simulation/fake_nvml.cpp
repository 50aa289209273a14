// A libnvidia-ml.so.1 for tests: answers for the simulated GPUs, and writes down what was locked.
// Results and enumerations are those of NVIDIA's NVML API reference.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cuda_simulation/environment.hpp"

#define NVML_CALL extern "C" __attribute__((visibility("default")))

namespace {

using gembench::simulation::injected_fault;
using gembench::simulation::settings;

enum Result : int {
  success,
  uninitialized,
  invalid_argument,
  not_supported,
  no_permission,
  not_found = 6
};

bool started = false;

/// What GEMBENCH_SIMULATED_NVML_SCRIPT says of a moment: README.md. Without it always the same.
struct Moment {
  double seconds = 0;  // since nvmlInit
  double mhz = 1500, watts = 123, celsius = 45;
  unsigned long long reasons = 4;  // power cap
};
std::vector<Moment> script;
double script_begin = 0;

void read_script() {
  script.clear();
  script_begin = gembench::simulation::now();
  const char* text = std::getenv("GEMBENCH_SIMULATED_NVML_SCRIPT");
  if (!text) return;
  std::istringstream moments(text);
  for (std::string words; std::getline(moments, words, ';');) {
    Moment one;
    char comma = 0;
    std::istringstream numbers(words);
    numbers >> one.seconds >> comma >> one.mhz >> comma >> one.watts >> comma >> one.celsius >>
        comma >> one.reasons;
    if (!numbers) {
      std::fprintf(stderr, "GEMBENCH_SIMULATED_NVML_SCRIPT: no moment: %s\n", words.c_str());
      std::exit(2);
    }
    script.push_back(one);
  }
}

/// Between moments of the script: a straight line, but for the reasons, which are the earlier's.
Moment at(double seconds) {
  if (script.empty()) return {};
  std::size_t next = 0;
  while (next < script.size() && script[next].seconds <= seconds) ++next;
  if (next == 0) return script.front();
  Moment now = script[next - 1];
  if (next == script.size()) return now;
  const Moment& then = script[next];
  const double share = (seconds - now.seconds) / (then.seconds - now.seconds);
  now.mhz += share * (then.mhz - now.mhz);
  now.watts += share * (then.watts - now.watts);
  now.celsius += share * (then.celsius - now.celsius);
  now.seconds = seconds;
  return now;
}

double script_seconds() {
  return gembench::simulation::now() - script_begin;
}
Moment current() {
  return at(script_seconds());
}

/// Joules since nvmlInit: the integral of power.
double script_joules() {
  const double end = script_seconds();
  double joules = 0, from = 0;
  for (const Moment& one : script) {
    const double to = std::min(one.seconds, end);
    if (to > from) joules += (at(from).watts + at(to - 1e-9).watts) / 2 * (to - from);
    from = std::max(from, to);
  }
  return joules + (end > from ? at(from).watts * (end - from) : 0);
}

/// A handle points to the GPU's place in here.
using Handle = void*;
char gpus[256];
std::uintptr_t number_of(Handle handle) {
  return static_cast<std::uintptr_t>(static_cast<char*>(handle) - gpus);
}

int enter(const char* name, Handle handle) {
  if (const int fault = injected_fault(name)) return fault;
  if (!started) return uninitialized;
  const bool known = number_of(handle) < static_cast<std::uintptr_t>(settings().gpus);
  return known ? success : invalid_argument;
}

/// One line in the file that GEMBENCH_SIMULATED_NVML_LOG names; whole, whoever else writes.
void note(const char* format, std::uintptr_t gpu, unsigned least = 0, unsigned most = 0) {
  const char* file = std::getenv("GEMBENCH_SIMULATED_NVML_LOG");
  if (!file) return;
  char line[128];
  const int length =
      std::snprintf(line, sizeof(line), format, static_cast<unsigned>(gpu), least, most);
  const int to = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (to < 0) return;
  [[maybe_unused]] const auto written = write(to, line, static_cast<std::size_t>(length));
  close(to);
}

int answer(const char* name, Handle handle, unsigned* to, unsigned value) {
  const int result = enter(name, handle);
  if (result == success) *to = value;
  return result;
}

int copy_text(char* to, unsigned size, const char* text) {
  if (std::strlen(text) >= size) return invalid_argument;
  std::strcpy(to, text);
  return success;
}

}  // namespace

/// For tests that change the environment: this library has its own copy of what was read.
NVML_CALL void gembench_fake_nvml_reload() {
  gembench_simulation_reload();
}

NVML_CALL int nvmlInit_v2() {
  if (const int fault = injected_fault("nvmlInit_v2")) return fault;
  started = true;
  read_script();
  return success;
}

NVML_CALL int nvmlShutdown() {
  if (!started) return uninitialized;
  started = false;
  return success;
}

NVML_CALL const char* nvmlErrorString(int result) {
  switch (result) {
    case success:
      return "Success";
    case uninitialized:
      return "Uninitialized";
    case invalid_argument:
      return "Invalid Argument";
    case not_supported:
      return "Not Supported";
    case no_permission:
      return "Insufficient Permissions";
    case not_found:
      return "Not Found";
    default:
      return "Unknown Error";
  }
}

NVML_CALL int nvmlSystemGetDriverVersion(char* to, unsigned size) {
  return started ? copy_text(to, size, "0.0 (simulated)") : static_cast<int>(uninitialized);
}

NVML_CALL int nvmlDeviceGetHandleByUUID(const char* uuid, Handle* to) {
  if (const int fault = injected_fault("nvmlDeviceGetHandleByUUID")) return fault;
  if (!started) return uninitialized;
  // "SIMULATED GPU", two zeros and the number, as device.cpp makes them.
  constexpr const char* kPrefix = "GPU-53494d55-4c41-5445-4420-4750550000";
  const std::size_t length = std::strlen(kPrefix);
  if (std::strncmp(uuid, kPrefix, length) != 0 || std::strlen(uuid) != length + 2) return not_found;
  const auto number = std::strtoul(uuid + length, nullptr, 16);
  if (number >= static_cast<unsigned long>(settings().gpus)) return not_found;
  *to = &gpus[number];
  return success;
}

NVML_CALL int nvmlDeviceGetName(Handle handle, char* to, unsigned size) {
  const int result = enter("nvmlDeviceGetName", handle);
  return result == success ? copy_text(to, size, "simulated GPU") : result;
}

NVML_CALL int nvmlDeviceGetClockInfo(Handle handle, int type, unsigned* mhz) {
  constexpr int kMemory = 2;
  return answer("nvmlDeviceGetClockInfo", handle, mhz,
                type == kMemory ? 2000 : static_cast<unsigned>(current().mhz));
}

NVML_CALL int nvmlDeviceGetPowerUsage(Handle handle, unsigned* milliwatts) {
  return answer("nvmlDeviceGetPowerUsage", handle, milliwatts,
                static_cast<unsigned>(1000 * current().watts));
}

#ifndef GEMBENCH_NVML_WITHOUT_SOME
/// nvmlFieldValue_t
struct FieldValue {
  unsigned id, scope;
  long long timestamp, latency;
  int type, result;
  unsigned value, high;
};
/// Only with a script: power at this moment, a watt above what nvmlDeviceGetPowerUsage says, so
/// that a test sees which of them was read.
NVML_CALL int nvmlDeviceGetFieldValues(Handle handle, int count, FieldValue* fields) {
  constexpr unsigned kPowerInstant = 186;
  constexpr int kUnsigned = 1;
  const int result = enter("nvmlDeviceGetFieldValues", handle);
  for (int i = 0; result == success && i < count; ++i) {
    const bool known = fields[i].id == kPowerInstant && !script.empty();
    fields[i].type = kUnsigned;
    fields[i].value = static_cast<unsigned>(1000 * (current().watts + 1));
    fields[i].result = known ? success : not_supported;
  }
  return result;
}
#endif

/// Every reading another joule; with a script what its power adds up to.
NVML_CALL int nvmlDeviceGetTotalEnergyConsumption(Handle handle, unsigned long long* millijoules) {
  static unsigned long long joules = 0;
  const int result = enter("nvmlDeviceGetTotalEnergyConsumption", handle);
  if (result == success) {
    *millijoules =
        script.empty() ? 1000 * ++joules : static_cast<unsigned long long>(1000 * script_joules());
  }
  return result;
}

NVML_CALL int nvmlDeviceGetTemperature(Handle handle, int /*sensor*/, unsigned* celsius) {
  return answer("nvmlDeviceGetTemperature", handle, celsius,
                static_cast<unsigned>(current().celsius));
}

NVML_CALL int nvmlDeviceGetCurrentClocksEventReasons(Handle handle, unsigned long long* bits) {
  const int result = enter("nvmlDeviceGetCurrentClocksEventReasons", handle);
  if (result == success) *bits = current().reasons;
  return result;
}

#ifndef GEMBENCH_NVML_WITHOUT_SOME
NVML_CALL int nvmlDeviceGetCurrentClocksThrottleReasons(Handle handle, unsigned long long* bits) {
  return nvmlDeviceGetCurrentClocksEventReasons(handle, bits);
}
#endif

NVML_CALL int nvmlDeviceSetGpuLockedClocks(Handle handle, unsigned least, unsigned most) {
  const int result = enter("nvmlDeviceSetGpuLockedClocks", handle);
  if (result == success) note("lock %u %u %u\n", number_of(handle), least, most);
  return result;
}

#ifndef GEMBENCH_NVML_WITHOUT_SOME
NVML_CALL int nvmlDeviceResetGpuLockedClocks(Handle handle) {
  const int result = enter("nvmlDeviceResetGpuLockedClocks", handle);
  if (result == success) note("reset %u\n", number_of(handle));
  return result;
}
#endif
