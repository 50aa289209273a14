#include "moe_layer/cpu/memory.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

namespace gembench {
namespace {

TEST(CpuMemory, buffers_begin_at_cache_lines_and_never_overlap) {
  std::vector<Buffer> buffers;
  for (int round = 0; round < 3; ++round) {
    for (const std::size_t bytes : {0, 1, 1000, 131071, 131072, 200001, 777600, 3110400}) {
      for (int i = 0; i < 5; ++i) buffers.push_back(cpu_memory(bytes));
    }
    // Some go: their places may be used again.
    for (std::size_t i = 0; i < buffers.size(); i += 3) buffers[i] = Buffer();
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffers[i].as<char>()) % 64, 0U);
    if (buffers[i].as<char>() == nullptr) continue;
    std::memset(buffers[i].as<char>(), static_cast<int>(i % 251), buffers[i].bytes());
  }
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const auto* bytes = buffers[i].as<unsigned char>();
    for (std::size_t at = 0; bytes != nullptr && at < buffers[i].bytes(); ++at) {
      ASSERT_EQ(bytes[at], i % 251) << "byte " << at << " of buffer " << i;
    }
  }
}

TEST(CpuMemory, experts_that_come_and_go_take_no_more_memory_than_at_once) {
  constexpr std::size_t kBytes = 700000;  // a size of its own
  std::set<const void*> places;
  for (int round = 0; round < 100; ++round) {
    std::vector<Buffer> some;
    for (int i = 0; i < 7; ++i) {
      some.push_back(cpu_memory(kBytes));
      places.insert(some.back().as<char>());
    }
  }
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LE(places.size(), 14U);
#endif
}

}  // namespace
}  // namespace gembench
