#include "moe_layer/dispatch/row_exchange.hpp"

#include <algorithm>
#include <numeric>

namespace gembench::inline dispatch {

void Hop::resize(int ranks, int slots) {
  const auto count = static_cast<std::size_t>(ranks);
  for (auto* split : {&rows_out, &rows_in, &pairs_out, &pairs_in}) split->assign(count, 0);
  slot_counts.assign(static_cast<std::size_t>(slots), 0);
  send_counts.assign(count * (2 + slot_counts.size()), 0);
  recv_counts_ = send_counts;
}

void Hop::exchange_counts(const Comm& comm) {
  comm.all_to_all(send_counts, recv_counts_);
  std::fill(slot_counts.begin(), slot_counts.end(), 0);
  const std::size_t slots = slot_counts.size();
  for (std::size_t rank = 0; rank < rows_out.size(); ++rank) {
    const std::int32_t* sent = &send_counts[rank * (2 + slots)];
    const std::int32_t* received = &recv_counts_[rank * (2 + slots)];
    rows_out[rank] = sent[0];
    pairs_out[rank] = sent[1];
    rows_in[rank] = received[0];
    pairs_in[rank] = received[1];
    for (std::size_t slot = 0; slot < slots; ++slot) slot_counts[slot] += received[2 + slot];
  }
}

void Hop::send(Device& device, Stream stream, const Buffer& pairs, const Buffer& rows,
               Buffer& recv_pairs, Buffer& recv_rows, std::size_t row_bytes) const {
  const RowExchange parts[] = {
      {&pairs, pairs_out, &recv_pairs, pairs_in, sizeof(Pair)},
      {&rows, rows_out, &recv_rows, rows_in, row_bytes},
  };
  device.exchange(stream, parts);
}

void Hop::send_back(Device& device, Stream stream, const Buffer& results, Buffer& returned,
                    std::size_t row_bytes) const {
  const RowExchange back{&results, rows_in, &returned, rows_out, row_bytes};
  device.exchange(stream, {&back, 1});
}

std::int32_t Hop::rows_sent() const {
  return std::accumulate(rows_out.begin(), rows_out.end(), 0);
}
std::int32_t Hop::rows_received() const {
  return std::accumulate(rows_in.begin(), rows_in.end(), 0);
}

std::int64_t Hop::metadata_bytes(std::size_t rank) const {
  return pairs_out[rank] * static_cast<std::int64_t>(sizeof(Pair)) +
         static_cast<std::int64_t>((2 + slot_counts.size()) * sizeof(std::int32_t));
}

}  // namespace gembench::inline dispatch
