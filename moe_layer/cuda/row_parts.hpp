#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <numeric>
#include <span>

#include "moe_layer/cuda/errors.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "placement/base/index.hpp"

/// Where the rows of every rank lie in the buffers of an exchange.
namespace gembench::inline cuda {

[[nodiscard]] inline std::size_t sum_rows(std::span<const std::int32_t> rows) {
  return std::accumulate(rows.begin(), rows.end(), std::size_t{0});
}

/// sums[0] = 0, sums[i + 1] = sums[i] + values[i].
inline void running_sums(std::span<const std::int32_t> values, std::int32_t* sums) {
  sums[0] = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sums[i + 1] = sums[i] + values[i];
}

/// Calls visit(rank, offset in bytes, bytes) for every rank that has rows, except `own`.
template <class F>
void for_each_other_rank(std::span<const std::int32_t> rows, std::size_t row_bytes, int own,
                         F&& visit) {
  std::size_t at = 0;
  for (std::size_t rank = 0; rank < rows.size(); ++rank) {
    const std::size_t bytes = sz(rows[rank]) * row_bytes;
    if (bytes > 0 && static_cast<int>(rank) != own) visit(static_cast<int>(rank), at, bytes);
    at += bytes;
  }
}

/// To or from the device, or within it.
void copy_bytes(cudaStream_t stream, void* to, const void* from, std::size_t bytes,
                Whereabouts& at);
/// A rank's rows for itself, which no transport has to send.
void copy_own_rows(cudaStream_t stream, std::span<const RowExchange> parts, Whereabouts& at);

}  // namespace gembench::inline cuda
