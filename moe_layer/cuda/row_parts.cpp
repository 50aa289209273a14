#include "moe_layer/cuda/row_parts.hpp"

namespace gembench::inline cuda {

void copy_bytes(cudaStream_t stream, void* to, const void* from, std::size_t bytes,
                Whereabouts& at) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "cudaMemcpyAsync", at);
}

void copy_own_rows(cudaStream_t stream, std::span<const RowExchange> parts, Whereabouts& at) {
  const std::size_t self = sz(at.rank);
  for (const RowExchange& part : parts) {
    const std::size_t bytes = sz(part.send_rows[self]) * part.row_bytes;
    if (bytes == 0) continue;
    copy_bytes(
        stream, part.recv->as<char>() + sum_rows(part.recv_rows.first(self)) * part.row_bytes,
        part.send->as<char>() + sum_rows(part.send_rows.first(self)) * part.row_bytes, bytes, at);
  }
}

}  // namespace gembench::inline cuda
