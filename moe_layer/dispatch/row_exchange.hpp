#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "moe_layer/device/device.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline dispatch {

/// One all-to-all of rows with their pairs and, later, of results back, with its counts. Flat
/// dispatch has one hop; hierarchical dispatch has two, to the nodes and within them.
class Hop {
 public:
  /// `slots`: those a pair can name on a rank.
  void resize(int ranks, int slots);

  /// Collective: tells every rank the counts in `send_counts`.
  void exchange_counts(const Comm& comm);
  /// Pairs and rows to where they go.
  void send(Device& device, Stream stream, const Buffer& pairs, const Buffer& rows,
            Buffer& recv_pairs, Buffer& recv_rows, std::size_t row_bytes) const;
  /// Results of the received rows to where the rows came from.
  void send_back(Device& device, Stream stream, const Buffer& results, Buffer& returned,
                 std::size_t row_bytes) const;

  /// [rank][2 + slot]: rows, pairs, pairs of every slot there.
  std::vector<std::int32_t> send_counts;
  std::vector<std::int32_t> rows_out, rows_in, pairs_out, pairs_in;  ///< [rank]
  std::vector<std::int32_t> slot_counts;  ///< [slot] pairs received, as the senders counted them

  [[nodiscard]] std::int32_t rows_sent() const;
  [[nodiscard]] std::int32_t rows_received() const;
  /// Bytes in addition to the payload for a rank.
  [[nodiscard]] std::int64_t metadata_bytes(std::size_t rank) const;

 private:
  std::vector<std::int32_t> recv_counts_;
};

}  // namespace gembench::inline dispatch
