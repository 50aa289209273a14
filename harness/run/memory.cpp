#include "harness/run/memory.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace gembench::inline run {
namespace {

std::size_t available_by_kernel() {
  std::ifstream in("/proc/meminfo");
  std::string name, unit;
  std::size_t kib = 0;
  while (in >> name >> kib) {
    std::getline(in, unit);
    if (name == "MemAvailable:") return kib * 1024;
  }
  return 0;
}

/// A number in a one-line file; 0 when there is none ("max").
std::size_t number_in(const std::string& path) {
  std::ifstream in(path);
  std::size_t value = 0;
  in >> value;
  return in ? value : 0;
}

/// What the smallest limit of this process's cgroup (v2) and those above leaves; 0 = no limit.
std::size_t left_by_cgroup() {
  std::ifstream in("/proc/self/cgroup");
  std::string line, path;
  while (std::getline(in, line)) {
    if (line.rfind("0::", 0) == 0) path = line.substr(3);
  }
  std::size_t least = 0;
  for (; !path.empty(); path = path.substr(0, path.rfind('/'))) {
    const std::string folder = "/sys/fs/cgroup" + path + "/memory.";
    const std::size_t limit = number_in(folder + "max");
    if (limit == 0) continue;
    const std::size_t used = number_in(folder + "current");
    const std::size_t left = std::max<std::size_t>(1, limit > used ? limit - used : 0);
    least = least == 0 ? left : std::min(least, left);
  }
  return least;
}

}  // namespace

std::size_t node_memory_left() {
  const std::size_t kernel = available_by_kernel(), cgroup = left_by_cgroup();
  return kernel == 0 || cgroup == 0 ? std::max(kernel, cgroup) : std::min(kernel, cgroup);
}

std::size_t own_memory_left() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 0;
  const std::size_t used = number_in("/proc/self/statm") *  // pages; the first number
                           static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return std::max<std::size_t>(1, limit.rlim_cur > used ? limit.rlim_cur - used : 0);
}

}  // namespace gembench::inline run
