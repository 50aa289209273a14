#include <algorithm>
#include <cstring>
#include <limits>

#include "moe_layer/cpu/feed_forward.hpp"
#include "moe_layer/cpu/memory.hpp"
#include "moe_layer/mpi/clock.hpp"

namespace gembench::inline cpu {
namespace {

constexpr int kRounds = 5;
constexpr std::size_t kBeyondCaches = std::size_t{64} << 20;
constexpr int kSmallValues = 0x3c;  // this byte repeated is about 0.01 in bf16 and in f32

std::size_t copies_of(std::size_t expert_bytes) {
  return (kBeyondCaches + expert_bytes - 1) / expert_bytes;
}

Buffer filled(std::size_t bytes) {
  Buffer buffer = cpu_memory(bytes);
  std::memset(buffer.as<char>(), kSmallValues, bytes);
  return buffer;
}

}  // namespace

bool worth_measuring(int hidden, int ffn) {
  constexpr std::int64_t kLeast = std::int64_t{400} * 400;
  return std::int64_t{hidden} * ffn >= kLeast;
}

std::size_t measuring_bytes(std::size_t expert_bytes) {
  return copies_of(expert_bytes) * in_cache_lines(expert_bytes);
}

std::vector<ChunkCost> measure_chunks(CpuFeedForward& experts, std::size_t row_bytes, bool tiles) {
  const double end = read(Clock::cpu_time) + kTuningSeconds;
  constexpr double kUnknown = std::numeric_limits<double>::infinity();
  std::vector<ChunkCost> costs;
  for (const int rows : measured_row_counts(tiles)) costs.push_back({rows, kUnknown, kUnknown});

  const std::size_t stride = in_cache_lines(experts.expert_bytes());
  const std::size_t copies = copies_of(experts.expert_bytes());
  const Buffer weights = filled(copies * stride);
  const Buffer x = filled(CpuGemm::kChunk * row_bytes);
  std::size_t copy = 0;
  double a_row = 0;  // seconds, of the last count measured
  for (int round = 0; round < kRounds; ++round) {
    for (ChunkCost& cost : costs) {
      const double left = end - read(Clock::cpu_time);
      const bool known = cost.first < kUnknown;
      // Two readings, and in the first round one to warm up.
      if (round == 0 ? 3 * a_row * cost.rows > left : !known || left < cost.first + cost.next) {
        continue;
      }
      const char* expert = weights.as<char>() + (copy++ % copies) * stride;
      const auto seconds = [&] {
        const double begin = read(Clock::cpu_time);
        experts.run(cost.rows, x.as<char>(), expert);
        return read(Clock::cpu_time) - begin;
      };
      if (round == 0) {
        experts.make(cost.rows);
        static_cast<void>(seconds());
        expert = weights.as<char>() + (copy++ % copies) * stride;
      }
      cost.first = std::min(cost.first, seconds());
      cost.next = std::min(cost.next, seconds());
      a_row = cost.next / cost.rows;
    }
  }
  return costs;
}

}  // namespace gembench::inline cpu
