#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "moe_layer/cpu/feed_forward.hpp"
#include "moe_layer/cpu/memory.hpp"
#include "moe_layer/device/device.hpp"

namespace gembench::inline cpu {

/// The CPU behind the device seam: oneDNN for every matrix product, one thread a rank. Calls finish
/// before they return. Routing, packing and experts live in
/// cpu_routing.cpp, cpu_packing.cpp and cpu_experts.cpp.
class CpuDevice final : public Device {
 public:
  CpuDevice(const Comm& comm, const ModelShape& model, DType dtype);

  std::string name() const override;
  DType dtype() const override { return dtype_; }

  Buffer allocate(std::size_t bytes) override { return cpu_memory(bytes); }
  void upload(Buffer& to, std::size_t offset, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to.as<char>() + offset, from, bytes);  // memcpy takes no null
  }
  void download(void* to, const Buffer& from, std::size_t offset, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from.as<char>() + offset, bytes);
  }
  Stream make_stream() override { return {}; }
  void synchronize(Stream) override {}

  void prepare(const LayerLimits& limits) override;
  std::size_t scratch_bytes(const LayerLimits& limits) const override;

  std::size_t expert_bytes() const override { return experts_.expert_bytes(); }
  void load_expert(Buffer& to, const PlainExpert& plain) override {
    experts_.load(plain, to.as<char>());
  }
  std::size_t router_bytes() const override { return router_.packed_bytes(); }
  void load_router(Buffer& to, std::span<const float> plain) override {
    router_.pack(plain.data(), to.as<char>());
  }

  void route(Stream, const RouteArgs& args) override;
  void pack(Stream, const PackArgs& args) override;
  void exchange(Stream, std::span<const RowExchange> parts) override {
    for (const RowExchange& part : parts) {
      comm_.all_to_all_rows(part.send->as<char>(), part.send_rows, part.recv->as<char>(),
                            part.recv_rows, part.row_bytes);
    }
  }
  bool forwards() const override { return true; }
  void forward(Stream, const ForwardArgs& args) override;
  void merge(Stream, const MergeArgs& args) override;
  void experts(Stream, const ExpertArgs& args) override;
  void shared_experts(Stream, const SharedArgs& args) override;
  void combine(Stream, const CombineArgs& args) override;
  void send_weights(std::span<const Message> sends, std::span<const Message> receives) override {
    comm_.exchange(sends, receives);
  }
  void spin(Stream, double seconds) override;

  /// For tests.
  [[nodiscard]] const ChunkPlan& chunks() const { return experts_.plan(); }

 private:
  /// Costs of chunks as all ranks with this CPU know them; collective.
  std::vector<ChunkCost> agreed_costs();
  /// Sorts pairs by slot: fills absolute_, order_ and slot_tokens. Returns the number of rows that
  /// have pairs.
  std::size_t sort_pairs(const ExpertArgs& args);
  /// Rows of a chunk of pairs behind one another, with room for `computed`: gathered, or where they
  /// lie if that is so already, as with one expert on the rank.
  const char* gathered(std::span<const std::int32_t> chunk, int computed, const Buffer& rows);
  /// Adds a product to its row, by the part that it has in the row's sum.
  void deliver(std::int32_t absolute, float weight, const float* product, const ExpertArgs& args);
  void choose_experts(const float* logits, std::uint16_t* ids) const;
  void softmax(const float* logits, const std::uint16_t* ids, float* weights) const;
  void to_payload(const float* from, char* to, std::size_t n) const;
  /// Adds returned rows (dtype) onto the rows of `sums` that `onto` (i32 [row]) names.
  void add_rows(int rows, const Buffer& returned, const Buffer& onto, float* sums) const;
  /// Where rows come from and what is made of them; see PackArgs.
  struct Placing {
    const Buffer* from;
    Buffer *rows, *pairs, *row_from;
    std::span<std::int32_t> counts;
  };
  template <class ForEachPair>
  void place(const ForEachPair& for_each_pair, const Placing& to);

  const Comm& comm_;
  ModelShape model_;
  DType dtype_;
  std::size_t hidden_;
  std::size_t row_bytes_;
  CpuFeedForward experts_;
  CpuGemm router_;
  Buffer gathered_;                             // rows of one expert's chunk
  std::vector<float> normed_, logits_;          // of a chunk that is padded, as the router's
  std::vector<std::int32_t> seen_;              // [rank] row the token already has there, -1 = none
  std::vector<std::int32_t> order_;             // pairs sorted by slot
  std::vector<std::int32_t> absolute_;          // [pair] see kBegins
  std::vector<std::int32_t> slot_at_;           // [slot + 1] where a slot's pairs start in order_
  std::vector<std::int32_t> first_row_;         // [rank] where a destination's rows start
  std::vector<std::int32_t> row_at_, pair_at_;  // [rank] where its next row and pair go
};

}  // namespace gembench::inline cpu
