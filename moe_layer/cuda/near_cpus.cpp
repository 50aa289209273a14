#include "moe_layer/cuda/near_cpus.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>

namespace gembench::inline cuda {

std::vector<int> cpus_near(const std::string& pci, const std::filesystem::path& root) {
  std::string name = pci;
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::ifstream file(root / "sys/bus/pci/devices" / name / "local_cpulist");
  std::vector<int> cpus;
  std::string part;  // "0-3" or "8"
  while (std::getline(file, part, ',')) {
    std::istringstream in(part);
    int first = 0, last = 0;
    char dash = 0;
    if (!(in >> first)) return {};
    if (!(in >> dash >> last)) last = first;
    if (first < 0 || last < first || last >= CPU_SETSIZE) return {};
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

NearCpus::NearCpus(const std::string& pci, const std::filesystem::path& root, int least) {
  const std::vector<int> near = cpus_near(pci, root);
  cpu_set_t kept;
  CPU_ZERO(&kept);
  if (near.empty() || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
  for (const int cpu : near) {
    if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &kept);
  }
  const int all = CPU_COUNT(&before_), left = CPU_COUNT(&kept);
  words_ = fmt::format("{} of the rank's {}", left, all);
  if (left == all) return;
  if (left < std::min(all, least)) {
    words_ += ", too few to keep to";
    return;
  }
  narrowed_ = sched_setaffinity(0, sizeof kept, &kept) == 0;
  if (!narrowed_) words_ += ", could not be kept to";
}

NearCpus::~NearCpus() {
  if (narrowed_) static_cast<void>(sched_setaffinity(0, sizeof before_, &before_));
}

}  // namespace gembench::inline cuda
