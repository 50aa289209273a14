#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moe_layer/cuda/gemm.hpp"
#include "moe_layer/cuda/lt.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// What the experts with assignments compute of their gathered rows: the product with gate|up,
/// SwiGLU, the product with down. The rows of an expert follow those of the one before it.
struct FeedForward {
  std::array<ProductGroup, 2> products;
  std::size_t pairs = 0;  ///< rows of all experts
  void* both = nullptr;   ///< dtype [row][2 ffn], the first product's
  void* inner = nullptr;  ///< dtype [row][ffn], the second product's rows
};

/// The ways to compute that: a row of a table for each, in the order of preference.
class ExpertProducts {
 public:
  /// Finds out which ways there are: a small grouped product on the stream that is null.
  ExpertProducts(const ModelShape& model, DType dtype, Gemm& gemm, Whereabouts& at);
  ~ExpertProducts();
  ExpertProducts(const ExpertProducts&) = delete;
  ExpertProducts& operator=(const ExpertProducts&) = delete;

  /// By way.
  [[nodiscard]] static const std::vector<std::string>& names();
  /// Why this rank does not have a way; empty: it has.
  [[nodiscard]] const std::string& lack(std::size_t way) const { return lacks_[way]; }
  /// Names of the ways that are there.
  [[nodiscard]] std::vector<std::string> there() const;

  void prepare();
  [[nodiscard]] std::size_t scratch_bytes() const;
  /// Enqueues all of it; neither waits nor allocates.
  void run(std::size_t way, cudaStream_t stream, const FeedForward& work);

  /// Collective, of ways that choose algorithms (cublaslt): by time, for all sizes up to `most`, or
  /// without a clock the library's first. False if there is none for some size on some rank.
  /// `samples`: a matrix of each product with as many rows as this rank can have, or none.
  [[nodiscard]] bool choose_algorithms(const Comm& comm, std::int64_t most,
                                       const std::array<Product, 2>& samples, cudaStream_t stream,
                                       const LtProduct::Clock& clock);
  /// Those chosen: "0 0 1, 0 0 0", of both products; empty if each is the library's first.
  [[nodiscard]] std::string algorithms() const;
  /// Collective: those that algorithms() named in an earlier run; false, and nothing changes, if
  /// they cannot be had on some rank.
  [[nodiscard]] bool take_algorithms(const Comm& comm, const std::string& words);

 private:
  static constexpr int kStreams = 4;
  struct Row;
  static const std::array<Row, 4> kRows;
  // What a way needs beyond what its row says, in words; empty: it is there.
  [[nodiscard]] std::string lacks_nothing();
  [[nodiscard]] std::string lacks_groups();
  [[nodiscard]] std::string lacks_lt();
  [[nodiscard]] std::string lacks_cutlass();
  void run_grouped(cudaStream_t stream, const FeedForward& work);
  void run_each(cudaStream_t stream, const FeedForward& work);
  void run_lt(cudaStream_t stream, const FeedForward& work);
  void run_cutlass(cudaStream_t stream, const FeedForward& work);
  /// Expert by expert, on several streams that fork from `stream` and join it again.
  template <class Multiply>
  void fork(cudaStream_t stream, const FeedForward& work, const Multiply& multiply);
  void swiglu(cudaStream_t stream, std::size_t rows, const void* both, void* inner);

  ModelShape model_;
  DType dtype_;
  Gemm& gemm_;
  Whereabouts& at_;
  int capability_ = 0;  // 90 of 9.0
  int multiprocessors_ = 0;
  struct Branch {
    cudaStream_t stream = nullptr;
    cudaEvent_t done = nullptr;
    std::unique_ptr<Gemm> gemm;
  };
  std::vector<Branch> branches_;
  cudaEvent_t begun_ = nullptr;
  cublasLtHandle_t lt_ = nullptr;
  std::vector<LtProduct> lt_products_;  // [product]
  Buffer cutlass_, strides_;            // workspace; i64 [2 ffn, hidden, ffn][expert]
  std::vector<std::string> lacks_;      // [way]
};

}  // namespace gembench::inline cuda
