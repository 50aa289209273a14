#include "moe_layer/cpu/memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "placement/base/error.hpp"

namespace gembench::inline cpu {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPooled = std::size_t{128} << 10;
constexpr std::size_t kLargestSlab = std::size_t{32} << 20;

std::size_t rounded_up(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

void* allocate(std::size_t alignment, std::size_t bytes) {
  void* memory = std::aligned_alloc(alignment, bytes);
  if (memory != nullptr) return memory;
  throw Error(ExitCode::environment,
              fmt::format("{:.1f} MiB of memory are not available: use fewer --tokens or --layers, "
                          "or a larger --scale",
                          static_cast<double>(bytes) / 0x1p20));
}

/// Blocks of equal sizes, cut from slabs of whole huge pages. Freed blocks are reused for the same
/// size: experts, which come and go, all have the same size.
class Pool {
 public:
  void* take(std::size_t bytes) {
    const std::size_t size = kLine + in_cache_lines(bytes);  // a line in front says the size
    const std::lock_guard lock(mutex_);
    Blocks& blocks = blocks_[size];
    if (blocks.free.empty()) add_slab(size, blocks);
    char* block = blocks.free.back();
    blocks.free.pop_back();
    return new (block) std::size_t(size), block + kLine;
  }
  void give(void* memory) {
    char* block = static_cast<char*>(memory) - kLine;
    const std::lock_guard lock(mutex_);
    blocks_[*reinterpret_cast<std::size_t*>(block)].free.push_back(block);
  }

 private:
  struct Blocks {
    std::size_t count = 0;
    std::vector<char*> free;
  };
  /// As many blocks as there are already, so that sizes with only one block need little memory.
  static void add_slab(std::size_t size, Blocks& blocks) {
    const std::size_t wanted = std::min(blocks.count * size, kLargestSlab);
    const std::size_t bytes = rounded_up(std::max(size, wanted), kHugePage);
    char* slab = static_cast<char*>(allocate(kHugePage, bytes));
    madvise(slab, bytes,
            MADV_HUGEPAGE);  // advice: without effect if the kernel does not support it
    const std::size_t count = bytes / size;
    blocks.count += count;
    for (std::size_t i = count; i-- > 0;) blocks.free.push_back(slab + i * size);
  }

  std::mutex mutex_;
  std::map<std::size_t, Blocks> blocks_;
};

Pool& pool() {
  static Pool& one = *new Pool;  // outlives every buffer
  return one;
}

#ifdef __SANITIZE_ADDRESS__
constexpr bool kUsesPool = false;  // AddressSanitizer is to see every buffer's ends
#else
constexpr bool kUsesPool = true;
#endif

}  // namespace

Buffer cpu_memory(std::size_t bytes) {
  if (kUsesPool && bytes >= kPooled) {
    return {pool().take(bytes), bytes, [](void* memory) { pool().give(memory); }};
  }
  return {allocate(kLine, in_cache_lines(std::max<std::size_t>(bytes, 1))), bytes, std::free};
}

}  // namespace gembench::inline cpu
