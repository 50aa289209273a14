#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/cuda/gemm.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/product_choice.hpp"
#include "moe_layer/device/device_calls.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// Where an expert's weights lie in its buffer: gate and up side by side in one matrix
/// [hidden][gate ffn, up ffn], so that one product makes both; then down [ffn][hidden].
struct ExpertLayout {
  std::size_t down = 0;   ///< offset, bytes
  std::size_t bytes = 0;  ///< all of it
};
[[nodiscard]] ExpertLayout expert_layout(const ModelShape& model, DType dtype);

/// The experts of a rank: pairs sorted by expert, rows gathered, two products and SwiGLU between
/// them, and every row's outputs added up.
class Experts {
 public:
  Experts(const ModelShape& model, DType dtype, int ranks, Whereabouts& at);
  ~Experts();
  Experts(const Experts&) = delete;
  Experts& operator=(const Experts&) = delete;

  /// Whether all experts' products can be one cuBLAS call; else each is a call of its own, on
  /// several streams.
  [[nodiscard]] bool grouped() const { return grouped_; }
  void prepare(const LayerLimits& limits);
  /// Collective, after prepare(). Times both ways with the weights of a layer, for loads up to the
  /// largest, and uses one of them for each from now on (ProductChoice); the grouped call never if
  /// its outputs are not those of single calls, or if some rank lacks it. Every size of product has
  /// then been used.
  void compare(cudaStream_t stream, std::span<const Buffer* const> slots, const Comm& comm);
  /// In words, which way is used for which load.
  [[nodiscard]] std::string way() const;
  [[nodiscard]] std::size_t scratch_bytes(const LayerLimits& limits) const;
  void run(cudaStream_t stream, const ExpertArgs& args, Stamp stamp = nullptr);
  /// Tables for the layers of a recorded step: between begin_tables() and send_tables(), which
  /// sends all with one copy, every run() fills the next one.
  void reserve_tables(int layers);
  void begin_tables();
  void send_tables(cudaStream_t stream);
  void run_shared(cudaStream_t stream, const SharedArgs& args);
  [[nodiscard]] Gemm& gemm() { return gemm_; }

 private:
  static constexpr int kStreams = 4;
  /// Scratch rows that fit `limits`: sorted pairs, or the tokens of shared experts.
  [[nodiscard]] static std::size_t rows_of(const LayerLimits& limits);
  [[nodiscard]] std::size_t table_bytes() const;
  [[nodiscard]] std::size_t table_offset() const;  ///< of the one in use
  [[nodiscard]] std::size_t chunk_bytes(const LayerLimits& limits) const;
  void fill_table(cudaStream_t stream, const ExpertArgs& args);
  void use_table(std::size_t table);
  void run_products(cudaStream_t stream, const ExpertArgs& args, bool grouped);
  void run_grouped(cudaStream_t stream);
  void run_each(cudaStream_t stream, const ExpertArgs& args);
  /// both = rows gate|up, inner = swish(gate) up, out = inner down.
  void feed_forward(cudaStream_t stream, Gemm& gemm, const Buffer& weights, const void* rows,
                    std::size_t first, int count, void* out, DType out_type, bool add);
  // Of compare().
  void fill_rows(cudaStream_t stream, std::size_t rows);
  double time_way(cudaStream_t stream, const ExpertArgs& args, bool grouped);
  /// What a call leaves as it was must not pass for its result.
  void forget_products(cudaStream_t stream);
  std::vector<std::uint16_t> some_outputs(cudaStream_t stream, std::size_t pairs);
  [[nodiscard]] void* at_row(const Buffer& scratch, std::size_t row, int width) const;

  ModelShape model_;
  DType dtype_;
  std::size_t ranks_, element_;
  ExpertLayout layout_;
  Whereabouts& at_;
  Gemm gemm_;
  bool grouped_ = false;
  ProductChoice choice_;
  std::size_t most_pairs_ = 0;
  // Forked from the caller's stream and joined to it, where experts are not grouped.
  struct Branch {
    cudaStream_t stream = nullptr;
    cudaEvent_t done = nullptr;
    std::unique_ptr<Gemm> gemm;
  };
  std::vector<Branch> branches_;
  cudaEvent_t begun_ = nullptr;

  Buffer gathered_, both_, inner_, outputs_;                 // dtype, [sorted pair][...]
  Buffer sorted_row_, position_, first_pair_, chunk_pairs_;  // i32, see Sorting
  Buffer host_table_, table_;  // pinned, and its copy on the device; behind it those of layers
  std::size_t table_at_ = 0;   // in use: 0, or a layer's, from 1 on
  bool recording_ = false;
  std::array<ProductGroup, 2> products_;
  std::int32_t* pair_at_ = nullptr;  // in host_table_, likewise the next two
  std::int32_t* row_at_ = nullptr;
  std::int32_t* slot_at_ = nullptr;
};

}  // namespace gembench::inline cuda
