#include "moe_layer/cpu/state.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <vector>

namespace gembench::inline cpu {
namespace {

namespace fs = std::filesystem;
constexpr double kNotTold = std::numeric_limits<double>::quiet_NaN();

double read_number(const fs::path& path) {
  double value = 0;
  return std::ifstream(path) >> value ? value : kNotTold;
}

std::string read_line(const fs::path& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

/// The value of a field of /proc/cpuinfo: of one CPU, or the first there is.
std::string cpuinfo(const fs::path& root, std::string_view field, int cpu = -1) {
  std::ifstream in(root / "proc/cpuinfo");
  bool wanted = cpu < 0;
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const auto name = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    auto value = line.substr(colon + 2);
    if (name == "processor" && cpu >= 0) wanted = value == std::to_string(cpu);
    if (wanted && name == field) return value;
  }
  return {};
}

double clock_of(const fs::path& root, int cpu) {
  constexpr double kKilo = 1e3, kMega = 1e6;
  const auto file = fmt::format("sys/devices/system/cpu/cpu{}/cpufreq/scaling_cur_freq", cpu);
  if (const double khz = read_number(root / file); khz > 0) return khz * kKilo;
  const std::string mhz = cpuinfo(root, "cpu MHz", cpu);
  const double value = std::strtod(mhz.c_str(), nullptr);
  return value > 0 ? value * kMega : kNotTold;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// Of the first sensor that is a CPU's.
double temperature(const fs::path& root) {
  constexpr double kMilli = 1e-3;
  for (const auto& zone : entries_of(root / "sys/class/thermal")) {
    const std::string type = read_line(zone / "type");
    if (type == "x86_pkg_temp" || type.starts_with("cpu")) {
      return read_number(zone / "temp") * kMilli;
    }
  }
  for (const auto& chip : entries_of(root / "sys/class/hwmon")) {
    const std::string name = read_line(chip / "name");
    if (name == "k10temp" || name == "coretemp") return read_number(chip / "temp1_input") * kMilli;
  }
  return kNotTold;
}

double power(const fs::path& root) {
  constexpr double kMicro = 1e-6;
  const fs::path counter = root / "sys/class/powercap/intel-rapl:0/energy_uj";
  const double before = read_number(counter);
  if (std::isnan(before)) return kNotTold;
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(kPowerSeconds));
  const double joules = (read_number(counter) - before) * kMicro;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  return joules >= 0 ? joules / passed.count() : kNotTold;  // less: the counter went round
}

}  // namespace

DeviceState cpu_state(int cpu, const fs::path& root) {
  DeviceState state;
  state.clock = clock_of(root, cpu);
  state.temperature = temperature(root);
  state.power = power(root);
  return state;
}

std::string cpu_model(const fs::path& root) {
  return cpuinfo(root, "model name");
}

int current_cpu() {
  return sched_getcpu();
}

}  // namespace gembench::inline cpu
