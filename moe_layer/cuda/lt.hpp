#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "moe_layer/cuda/gemm.hpp"
#include "moe_layer/mpi/comm.hpp"

namespace gembench::inline cuda {

/// cublasLt for bf16 products of one n and k, by an algorithm for every class of rows: up to 1, 2,
/// 4, ... The library proposes some, of which a trial takes the fastest.
class LtProduct {
 public:
  /// `handle` outlives this.
  LtProduct(cublasLtHandle_t handle, int n, int k, Whereabouts& at);

  /// Seconds of a piece of work on a stream, weights cold.
  using Clock = std::function<double(const std::function<void()>&)>;
  /// Collective: chooses the algorithms for up to `most` rows (the largest of all ranks), the same
  /// ones on all ranks: the first that the library proposes, or the fastest where that is faster by
  /// at least 5 % in the sum over ranks. `sample` has as many rows as this rank can have, 0: it has
  /// nothing to time. The first alone where `clock` is null. False on all ranks where one has no
  /// algorithm for some class.
  [[nodiscard]] bool choose(const Comm& comm, std::int64_t most, const Product& sample,
                            Buffer& workspace, cudaStream_t stream, const Clock& clock);
  /// Whether `choices`, of an earlier run, name an algorithm for every class after choose().
  [[nodiscard]] bool can_take(const std::vector<int>& choices) const;
  /// Takes them instead of those that choose() timed; can_take() on all ranks.
  void take(const std::vector<int>& choices);
  /// [class], from 0 = the first that the library proposed.
  [[nodiscard]] std::vector<int> choices() const;

  /// By the chosen algorithm, or the library's own where nothing was chosen. Rows from 1 on.
  void run(cudaStream_t stream, const Product& product, Buffer& workspace);

 private:
  /// What a product is to cublasLt, column-major: C' = B' A'. Nothing of it is allocated.
  struct Call {
    cublasLtMatmulDescOpaque_t product;
    cublasLtMatrixLayoutOpaque_t a, b, c;
  };
  struct Class {
    std::vector<cublasLtMatmulAlgo_t> proposed;
    std::size_t chosen = 0;
  };
  [[nodiscard]] static std::size_t class_of(std::int64_t rows);
  [[nodiscard]] Call call_of(int rows) const;
  [[nodiscard]] std::vector<cublasLtMatmulAlgo_t> propose(int least, int most) const;
  template <class Seconds>
  [[nodiscard]] std::vector<std::int64_t> nanoseconds(const Class& of_size, const Seconds& seconds);
  void run(cudaStream_t stream, const Product& product, Buffer& workspace,
           const cublasLtMatmulAlgo_t* algorithm);

  cublasLtHandle_t handle_;
  int n_, k_;
  std::size_t alignment_;  // bytes of all rows
  Whereabouts& at_;
  std::vector<Class> classes_;
};

}  // namespace gembench::inline cuda
