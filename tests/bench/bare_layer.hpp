#pragma once

#include <vector>

#include "moe_layer/device/device.hpp"
#include "moe_layer/dispatch/expert_store.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "tests/bench/routed_step.hpp"

namespace gembench::bench {

/// The device calls and barriers of MoeLayers::run_layer in their order, and nothing else: no clock
/// is read, nothing is counted.
class BareLayers {
 public:
  BareLayers(const Comm& comm, Device& device, const ModelShape& model, const ExpertStore& store,
             const RoutedStep& step, std::uint64_t seed);

  /// Puts the step's input back.
  void load();
  void run_layer(int layer, bool start_barrier);
  [[nodiscard]] std::vector<float> hidden_state(int token) const;

 private:
  const Comm& comm_;
  Device& device_;
  ModelShape model_;
  const RoutedStep& step_;
  std::uint64_t seed_;
  Stream stream_;
  std::size_t row_bytes_, slots_ = 0;
  std::vector<Buffer> routers_, locations_;                   // [layer]
  std::vector<std::vector<const Buffer*>> experts_, shared_;  // [layer][slot], [layer][i]
  Buffer hidden_state_, replay_, normed_, payload_, logits_, gate_ids_, ids_, weights_;
  Buffer send_rows_, send_pairs_, row_token_, recv_rows_, recv_pairs_;
  Buffer sums_, results_, slot_tokens_, returned_, shared_sums_;
  std::vector<std::int32_t> send_counts_, recv_counts_, slot_counts_;
  std::vector<std::int32_t> rows_out_, rows_in_, pairs_out_, pairs_in_;
};

}  // namespace gembench::bench
