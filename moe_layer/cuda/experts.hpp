#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moe_layer/cuda/expert_products.hpp"
#include "moe_layer/cuda/gemm.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/product_choice.hpp"
#include "moe_layer/cuda/product_trial.hpp"
#include "moe_layer/cuda/recorded_work.hpp"
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
  /// How the products are computed, as CudaOptions has it. Environment error if that cannot be had
  /// here.
  struct Wish {
    std::string name = "auto";  ///< of a way, or auto: the fastest right one for each load
    std::string earlier;        ///< what way() said in the run that this goes on with
    bool graph = false;         ///< steps are recorded, so ways are tried in graphs too
  };
  Experts(const ModelShape& model, DType dtype, int ranks, const Wish& wish, Whereabouts& at);

  /// Names of the ways that this rank has.
  [[nodiscard]] std::vector<std::string> ways() const { return products_.there(); }
  void prepare(const LayerLimits& limits);
  /// Collective, after prepare(). Holds every way against a plain kernel, with the weights of a
  /// layer and loads up to the largest, times those that are right, and uses one of them for each
  /// load from now on (ProductChoice). Of steps that are
  /// graphs, a way must also be right, and is timed, as one. Every size of product has then been
  /// used. Error on all ranks if no way is right.
  void compare(cudaStream_t stream, std::span<const Buffer* const> slots, const Comm& comm);
  /// Which way is used for which load, and which algorithms: "cublas-grouped up to 64 assignments,
  /// cublaslt up to 4096 assignments (cublaslt algorithms 0 0 1, 0 0 0)".
  [[nodiscard]] std::string way() const;
  /// Ways that failed when they were compared: "cutlass: wrong results for 64 assignments"; "none".
  [[nodiscard]] std::string failed() const;
  /// Ways that this rank does not have, and why: "cutlass: it is for compute capability 9.0".
  [[nodiscard]] std::string missing() const;
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
  /// Scratch rows that fit `limits`: sorted pairs, or the tokens of shared experts.
  [[nodiscard]] static std::size_t rows_of(const LayerLimits& limits);
  [[nodiscard]] std::size_t table_bytes() const;
  [[nodiscard]] std::size_t table_offset() const;  ///< of the one in use
  [[nodiscard]] void** host_pointers() const;      ///< of the one in use, [pointer array][expert]
  [[nodiscard]] std::size_t chunk_bytes(const LayerLimits& limits) const;
  void fill_table(cudaStream_t stream, const ExpertArgs& args);
  void use_table(std::size_t table);
  /// both = rows gate|up, inner = swish(gate) up, out = inner down.
  void feed_forward(cudaStream_t stream, const Buffer& weights, const void* rows, int count,
                    void* out, bool add);
  [[nodiscard]] const std::int32_t* on_device(const std::int32_t* host) const;
  [[nodiscard]] void* at_row(const Buffer& scratch, std::size_t row, int width) const;
  // Of compare().
  void fill_rows(cudaStream_t stream, std::size_t rows);
  void forget_products(cudaStream_t stream, std::size_t pairs);
  /// Calls this of every way that is still right. One of which it says what is wrong, or throws, is
  /// right no longer; `when` is put before what was wrong.
  template <class Attempt>
  void attempt_each(const char* when, const Attempt& attempt);
  /// Runs the ways that are still right, and finds out which stay so for what the trial expects.
  void hold_against_reference(cudaStream_t stream, std::size_t pairs, bool recorded);
  /// Graphs of all ways that are still right, of what the table holds, [way].
  std::vector<std::unique_ptr<RecordedWork>> record_ways(cudaStream_t stream);
  void launch(std::size_t way, cudaStream_t stream, bool recorded);
  /// Adds the seconds of every right way to those given, [way].
  void time_ways(cudaStream_t stream, std::vector<double>& seconds);
  void choose_algorithms(cudaStream_t stream, std::span<const Buffer* const> slots,
                         const Comm& comm, bool timed);
  /// Whether all ranks have every way that it takes.
  [[nodiscard]] bool can_take(const Comm& comm, const ProductChoice& choice) const;
  /// The choice of the run that this goes on with, whose algorithms are taken; none: the ways that
  /// it names cannot be had, or it names none.
  [[nodiscard]] std::optional<ProductChoice> take_earlier(cudaStream_t stream,
                                                          std::span<const Buffer* const> slots,
                                                          const Comm& comm);
  /// Holds all ways against the reference, and times them if that is asked for.
  [[nodiscard]] std::vector<ProductChoice::Timed> try_ways(cudaStream_t stream,
                                                           std::span<const Buffer* const> slots,
                                                           const Comm& comm, bool timed);
  /// Names what failed on other ranks; throws on all of them if no way is right.
  void settle(const Comm& comm);

  ModelShape model_;
  DType dtype_;
  std::size_t ranks_, element_;
  ExpertLayout layout_;
  Whereabouts& at_;
  Gemm gemm_;
  Wish wish_;
  ExpertProducts products_;
  ProductChoice choice_;
  std::vector<std::uint8_t> usable_;     // [way] there, wished for, and right as far as is known
  std::vector<std::string> failures_;    // [way] why, of those that are there
  std::unique_ptr<ProductTrial> trial_;  // until it is over
  std::vector<std::unique_ptr<RecordedWork>> recorded_;  // [way], of the load that is tried
  std::size_t most_pairs_ = 0;

  Buffer gathered_, both_, inner_, outputs_;                 // dtype, [sorted pair][...]
  Buffer sorted_row_, position_, first_pair_, chunk_pairs_;  // i32, see Sorting
  Buffer host_table_, table_;  // pinned, and its copy on the device; behind it those of layers
  std::size_t table_at_ = 0;   // in use: 0, or a layer's, from 1 on
  bool recording_ = false;
  FeedForward work_;                 // of the table in use
  std::int32_t* pair_at_ = nullptr;  // in host_table_, likewise the next three
  std::int32_t* row_at_ = nullptr;
  std::int32_t* slot_at_ = nullptr;
  std::int32_t* sizes_ = nullptr;  // [product][group][3]
};

}  // namespace gembench::inline cuda
