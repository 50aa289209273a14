#include "moe_layer/cpu_memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "placement/error.hpp"

namespace gembench {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

Buffer cpu_memory(std::size_t bytes) {
  const bool large = bytes >= kHugePage;
  void* memory = std::aligned_alloc(large ? kHugePage : kLine,
                                    in_cache_lines(std::max<std::size_t>(bytes, 1)));
  if (memory == nullptr) {
    throw Error(
        ExitCode::environment,
        fmt::format("{:.1f} MiB of memory are not to be had: use fewer --tokens or --layers, "
                    "or a larger --scale",
                    static_cast<double>(bytes) / 0x1p20));
  }
  // Advice: where the kernel knows no huge pages nothing changes. Whole ones only, so that a buffer
  // never takes more memory than it asked for.
  if (large) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return {memory, bytes, std::free};
}

}  // namespace gembench
