#include "moe_layer/cuda/transport.hpp"

#include <algorithm>

#include "moe_layer/cuda/mpi_transport.hpp"
#include "moe_layer/cuda/nccl_transport.hpp"

namespace gembench::inline cuda {
namespace {

constexpr TransportRow kTransports[] = {
    {.asked = "nccl",
     .words = nccl_words,
     .own_gpu = true,
     .mpi_takes_addresses = false,
     .capturable = true,
     .connect = connect_nccl},
    {.asked = "mpi",
     .words = cuda_aware_mpi_words,
     .own_gpu = false,
     .mpi_takes_addresses = true,
     .capturable = false,
     .connect = connect_cuda_aware_mpi},
    {.asked = "mpi",
     .words = staged_mpi_words,
     .own_gpu = false,
     .mpi_takes_addresses = false,
     .capturable = false,
     .connect = connect_staged_mpi},
};

}  // namespace

std::span<const TransportRow> transports() {
  return kTransports;
}

const TransportRow& transport_for(std::string_view asked, bool mpi_takes_addresses) {
  const auto* const row = std::ranges::find_if(kTransports, [&](const TransportRow& one) {
    return one.asked == asked && (mpi_takes_addresses || !one.mpi_takes_addresses);
  });
  return row != std::end(kTransports) ? *row : kTransports[0];
}

void Transport::connect(cudaStream_t stream) {
  link_ = row_.connect(ends_, stream);
  synchronize(stream);
}

void Transport::prepare(std::size_t most_sent, std::size_t most_received) {
  if (link_.prepare) link_.prepare(most_sent, most_received);
}

void Transport::send_weights(cudaStream_t stream, std::span<const Message> sends,
                             std::span<const Message> receives) {
  link_.send_weights(stream, sends, receives);
  synchronize(stream);
}

void Transport::synchronize(cudaStream_t stream) {
  if (polls()) return poll([&] { return cudaStreamQuery(stream); }, "cudaStreamQuery");
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", ends_.at);
}

void Transport::wait_for(cudaEvent_t event) {
  if (polls()) return poll([&] { return cudaEventQuery(event); }, "cudaEventQuery");
  check(cudaEventSynchronize(event), "cudaEventSynchronize", ends_.at);
}

template <class Query>
void Transport::poll(Query&& query, const char* call) {
  constexpr int kQueriesBetween = 256;  // looks at the other ranks
  for (int queries = 1;; ++queries) {
    const cudaError_t result = query();
    if (result == cudaSuccess) return;
    if (result != cudaErrorNotReady) check(result, call, ends_.at);
    if (queries % kQueriesBetween == 0) link_.look();
  }
}

}  // namespace gembench::inline cuda
