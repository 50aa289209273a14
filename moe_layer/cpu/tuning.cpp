#include "moe_layer/cpu/tuning.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <string>

#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/cpu/memory.hpp"
#include "moe_layer/cpu/state.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/index.hpp"

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

std::vector<ChunkCost> agreed_costs(const Comm& comm, CpuFeedForward& experts,
                                    std::size_t row_bytes, DType dtype) {
  const bool tiles = cpu_has_tiles(dtype);
  // One row per rank: its kind of CPU, then [rows][first, next] in units of 10 ns, 0 = not
  // measured.
  constexpr double kUnit = 1e-8;
  constexpr std::size_t kColumns = 1 + 2 * (CpuGemm::kChunk + 1);
  std::vector<std::int32_t> mine(kColumns, 0), all(kColumns * sz(comm.size()));
  mine[0] = static_cast<std::int32_t>(
      std::hash<std::string>{}(fmt::format("{} {} {}", cpu_model(), tiles, cpu_gemm_version())));
  for (const ChunkCost& cost : measure_chunks(experts, row_bytes, tiles)) {
    if (cost.first + cost.next > kUnit * std::numeric_limits<std::int32_t>::max()) continue;
    const std::size_t at = 1 + 2 * sz(cost.rows);
    mine[at] = static_cast<std::int32_t>(cost.first / kUnit) + 1;
    mine[at + 1] = static_cast<std::int32_t>(cost.next / kUnit) + 1;
  }
  comm.all_gather(mine, all);
  for (std::size_t rank = 0; rank < sz(comm.size()); ++rank) {
    const std::int32_t* other = &all[rank * kColumns];
    if (other[0] != mine[0]) continue;
    for (std::size_t i = 1; i < kColumns; ++i) {
      if (other[i] > 0) mine[i] = mine[i] > 0 ? std::min(mine[i], other[i]) : other[i];
    }
  }
  std::vector<ChunkCost> measured;
  for (int rows = 1; rows <= CpuGemm::kChunk; ++rows) {
    const std::size_t at = 1 + 2 * sz(rows);
    if (mine[at] > 0) measured.push_back({rows, mine[at] * kUnit, mine[at + 1] * kUnit});
  }
  return complete_costs(measured, tiles);
}

}  // namespace gembench::inline cpu
