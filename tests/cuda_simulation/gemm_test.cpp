// Matrix products against plain loops.

#include <cublas_v2.h>
#include <cuda_bf16.h>

#include <cmath>

#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {
namespace {

struct Case {
  cublasOperation_t a_op, b_op;
  int m, n, k, gap;  // gap: between columns
  float alpha, beta;
};

int rows_of_a(const Case& c) {
  return c.a_op == CUBLAS_OP_N ? c.m : c.k;
}
int rows_of_b(const Case& c) {
  return c.b_op == CUBLAS_OP_N ? c.k : c.n;
}
std::size_t size_of(int leading, int columns) {
  return static_cast<std::size_t>(leading) * static_cast<std::size_t>(columns);
}

/// Small multiples of 1/8, exact in bf16 and in sums.
template <class T>
std::vector<T> values(std::size_t n, unsigned seed) {
  std::vector<T> result(n);
  for (T& value : result) {
    seed = seed * 1664525U + 1013904223U;
    value = T(static_cast<float>(static_cast<int>(seed >> 28U) - 8) / 8);
  }
  return result;
}

/// C by definition, from matrices as they are stored.
template <class In, class Out>
std::vector<Out> expected(const Case& c, const std::vector<In>& a, const std::vector<In>& b,
                          std::vector<Out> out) {
  const int lda = rows_of_a(c) + c.gap, ldb = rows_of_b(c) + c.gap, ldc = c.m + c.gap;
  for (int column = 0; column < c.n; ++column) {
    for (int row = 0; row < c.m; ++row) {
      float sum = 0;
      for (int i = 0; i < c.k; ++i) {
        const auto at_a = c.a_op == CUBLAS_OP_N ? row + i * lda : i + row * lda;
        const auto at_b = c.b_op == CUBLAS_OP_N ? i + column * ldb : column + i * ldb;
        sum += static_cast<float>(a[static_cast<std::size_t>(at_a)]) *
               static_cast<float>(b[static_cast<std::size_t>(at_b)]);
      }
      Out& to = out[static_cast<std::size_t>(row + column * ldc)];
      const float before = c.beta == 0 ? 0 : c.beta * static_cast<float>(to);
      to = Out(c.alpha * sum + before);
    }
  }
  return out;
}

class Gemm : public SimulationTest {
 protected:
  Gemm() {
    EXPECT_EQ(cublasCreate(&blas_), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasSetStream(blas_, stream_.stream), CUBLAS_STATUS_SUCCESS);
  }
  ~Gemm() override { EXPECT_EQ(cublasDestroy(blas_), CUBLAS_STATUS_SUCCESS); }

  template <class In, class Out>
  void expect_right(const Case& c, cudaDataType in, cudaDataType out) {
    const int lda = rows_of_a(c) + c.gap, ldb = rows_of_b(c) + c.gap, ldc = c.m + c.gap;
    const auto a = values<In>(size_of(lda, c.a_op == CUBLAS_OP_N ? c.k : c.m), 1);
    const auto b = values<In>(size_of(ldb, c.b_op == CUBLAS_OP_N ? c.n : c.k), 2);
    const auto before = values<Out>(size_of(ldc, c.n), 3);
    const Values<In> on_a(a), on_b(b);
    const Values<Out> on_c(before);
    ASSERT_EQ(cublasGemmEx(blas_, c.a_op, c.b_op, c.m, c.n, c.k, &c.alpha, on_a.get(), in, lda,
                           on_b.get(), in, ldb, &c.beta, on_c.get(), out, ldc, CUBLAS_COMPUTE_32F,
                           CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_CUDA(cudaStreamSynchronize(stream_.stream));
    const auto got = on_c.read();
    const auto right = expected(c, a, b, before);
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(static_cast<float>(got[i]), static_cast<float>(right[i])) << i;
    }
  }

  cublasHandle_t blas_ = nullptr;
  TestStream stream_;
};
using GemmDeathTest = Gemm;

TEST_F(Gemm, every_transposition_type_and_scale_matches_plain_loops) {
  for (const auto a_op : {CUBLAS_OP_N, CUBLAS_OP_T}) {
    for (const auto b_op : {CUBLAS_OP_N, CUBLAS_OP_T}) {
      for (const Case& c :
           {Case{a_op, b_op, 5, 7, 3, 2, 1, 0}, Case{a_op, b_op, 16, 1, 33, 0, 2, 1},
            Case{a_op, b_op, 40, 24, 64, 8, 0.5F, -1}}) {
        SCOPED_TRACE(testing::Message() << a_op << b_op << ' ' << c.m << 'x' << c.n << 'x' << c.k);
        expect_right<float, float>(c, CUDA_R_32F, CUDA_R_32F);
        expect_right<__nv_bfloat16, __nv_bfloat16>(c, CUDA_R_16BF, CUDA_R_16BF);
        expect_right<__nv_bfloat16, float>(c, CUDA_R_16BF, CUDA_R_32F);
      }
    }
  }
}

TEST_F(Gemm, what_c_held_does_not_matter_without_beta) {
  const Values<float> a(std::vector<float>{2}), b(std::vector<float>{3}),
      c(std::vector<float>{NAN});
  const float one = 1, zero = 0;
  EXPECT_EQ(cublasGemmEx(blas_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.get(), CUDA_R_32F, 1,
                         b.get(), CUDA_R_32F, 1, &zero, c.get(), CUDA_R_32F, 1, CUBLAS_COMPUTE_32F,
                         CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_CUDA(cudaStreamSynchronize(stream_.stream));
  EXPECT_EQ(c.read()[0], 6.0F);
}

/// Host arrays of shapes, device arrays of addresses; both may change before the product runs.
TEST_F(Gemm, groups_take_shapes_at_the_call_and_addresses_when_they_run) {
  for (const auto& order : kOrders) {
    set("ORDER", order);
    const Case cases[] = {{CUBLAS_OP_T, CUBLAS_OP_N, 8, 3, 16, 0, 1, 0},
                          {CUBLAS_OP_N, CUBLAS_OP_N, 8, 5, 8, 8, 2, 0}};
    std::vector<int> m, n, k, lda, ldb, ldc, sizes = {2, 1};
    std::vector<cublasOperation_t> a_op, b_op;
    std::vector<float> alpha, beta;
    for (const Case& c : cases) {
      m.push_back(c.m), n.push_back(c.n), k.push_back(c.k);
      a_op.push_back(c.a_op), b_op.push_back(c.b_op);
      lda.push_back(rows_of_a(c) + c.gap), ldb.push_back(rows_of_b(c) + c.gap);
      ldc.push_back(c.m + c.gap);
      alpha.push_back(c.alpha), beta.push_back(c.beta);
    }
    using T = __nv_bfloat16;
    const auto a = values<T>(200, 4), b = values<T>(200, 5);
    const Values<T> on_a(a), on_b(b), out(312);
    EXPECT_CUDA(cudaMemsetAsync(out.get(), 0, 312 * sizeof(T), stream_.stream));
    Values<void*> host(9, true);
    const Values<void*> device(9);
    const std::size_t at[] = {0, 1, 2};
    for (const std::size_t i : at) {
      host[i] = on_a.get() + 16 * i;
      host[3 + i] = on_b.get() + 24 * i;
      host[6 + i] = out.get() + 104 * i;
    }
    EXPECT_CUDA(cudaMemcpyAsync(device.get(), host.get(), 9 * sizeof(void*), cudaMemcpyHostToDevice,
                                stream_.stream));
    void** pointers = device.get();
    EXPECT_EQ(
        cublasGemmGroupedBatchedEx(blas_, a_op.data(), b_op.data(), m.data(), n.data(), k.data(),
                                   alpha.data(), pointers, CUDA_R_16BF, lda.data(), pointers + 3,
                                   CUDA_R_16BF, ldb.data(), beta.data(), pointers + 6, CUDA_R_16BF,
                                   ldc.data(), 2, sizes.data(), CUBLAS_COMPUTE_32F),
        CUBLAS_STATUS_SUCCESS);
    m.assign(2, 0), lda.assign(2, 0), alpha.assign(2, 9), sizes.assign(2, 7);
    EXPECT_CUDA(cudaStreamSynchronize(stream_.stream));
    const auto got = out.read();
    for (const std::size_t i : at) {
      const Case& c = cases[i / 2];
      const std::vector<T> part_a(a.begin() + static_cast<std::ptrdiff_t>(16 * i), a.end());
      const std::vector<T> part_b(b.begin() + static_cast<std::ptrdiff_t>(24 * i), b.end());
      const auto right = expected(c, part_a, part_b, std::vector<T>(100, T(0.0F)));
      for (std::size_t j = 0; j < 100; ++j) {
        ASSERT_EQ(static_cast<float>(got[104 * i + j]), static_cast<float>(right[j])) << order;
      }
    }
  }
  EXPECT_EQ(counters().gemms, 3 * static_cast<std::int64_t>(kOrders.size()));
}

TEST_F(Gemm, batches_share_a_shape) {
  const std::vector<float> a = {1, 2}, b = {3, 4};
  const Values<float> on_a(a), on_b(b), out(2);
  const Values<void*> as(std::vector<void*>{on_a.get(), on_a.get() + 1});
  const Values<void*> bs(std::vector<void*>{on_b.get(), on_b.get() + 1});
  const Values<void*> cs(std::vector<void*>{out.get(), out.get() + 1});
  const float one = 1, zero = 0;
  EXPECT_EQ(cublasGemmBatchedEx(blas_, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, as.get(),
                                CUDA_R_32F, 1, bs.get(), CUDA_R_32F, 1, &zero, cs.get(), CUDA_R_32F,
                                1, 2, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_CUDA(cudaStreamSynchronize(stream_.stream));
  EXPECT_EQ(out.read(), (std::vector<float>{3, 8}));
}

TEST_F(Gemm, a_handle_has_a_stream_a_workspace_and_a_version) {
  cudaStream_t stream = nullptr;
  EXPECT_EQ(cublasGetStream(blas_, &stream), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(stream, stream_.stream);
  const Values<char> workspace(1024);
  EXPECT_EQ(cublasSetWorkspace(blas_, workspace.get(), 1024), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasSetWorkspace(blas_, workspace.get(), 1025), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasSetWorkspace(blas_, &stream, 8), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasSetMathMode(blas_, CUBLAS_DEFAULT_MATH), CUBLAS_STATUS_SUCCESS);
  int version = 0;
  EXPECT_EQ(cublasGetVersion(nullptr, &version), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(version, CUBLAS_VERSION);
}

TEST_F(Gemm, calls_that_cublas_refuses) {
  const float one = 1, zero = 0;
  const auto call = [&](int m, int lda, cudaDataType c_type, cublasComputeType_t compute) {
    return cublasGemmEx(blas_, CUBLAS_OP_N, CUBLAS_OP_N, m, 2, 2, &one, nullptr, CUDA_R_32F, lda,
                        nullptr, CUDA_R_32F, 2, &zero, nullptr, c_type, 2, compute,
                        CUBLAS_GEMM_DEFAULT);
  };
  EXPECT_EQ(call(2, 1, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(-1, 2, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(call(2, 2, CUDA_R_16BF, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(call(2, 2, CUDA_R_32F, CUBLAS_COMPUTE_64F), CUBLAS_STATUS_NOT_SUPPORTED);
  const int zero_rows = 0, two = 2, size = 1;
  const auto op = CUBLAS_OP_N;
  EXPECT_EQ(cublasGemmGroupedBatchedEx(blas_, &op, &op, &two, &zero_rows, &two, &one, nullptr,
                                       CUDA_R_16BF, &two, nullptr, CUDA_R_16BF, &two, &zero,
                                       nullptr, CUDA_R_16BF, &two, 1, &size, CUBLAS_COMPUTE_32F),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_STREQ(cublasGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED");
  set("FAULT", "cublasGemmEx:1:13");
  EXPECT_EQ(call(2, 2, CUDA_R_32F, CUBLAS_COMPUTE_32F), CUBLAS_STATUS_EXECUTION_FAILED);
}

/// Exits 0 when the product is refused only once it runs.
void multiply_host_memory(cublasHandle_t blas, cudaStream_t stream) {
  std::vector<float> host(4);
  const float one = 1, zero = 0;
  const auto status = cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, host.data(),
                                   CUDA_R_32F, 2, host.data(), CUDA_R_32F, 2, &zero, host.data(),
                                   CUDA_R_32F, 2, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  if (status != CUBLAS_STATUS_SUCCESS) std::quick_exit(1);
  std::quick_exit(cudaStreamSynchronize(stream) == cudaErrorIllegalAddress ? 0 : 2);
}

TEST_F(GemmDeathTest, matrices_in_host_memory_break_the_context) {
  EXPECT_EXIT(multiply_host_memory(blas_, stream_.stream), testing::ExitedWithCode(0),
              "does not lie in device memory");
}

/// Exits 0 when a group whose rows are 12 values long is refused once it runs.
void group_in_twelves(cublasHandle_t blas, cudaStream_t stream) {
  const Values<__nv_bfloat16> matrix(144);
  const Values<void*> pointers(std::vector<void*>(3, matrix.get()));
  const int side = 12, size = 1;
  const float one = 1, zero = 0;
  const auto op = CUBLAS_OP_N;
  const auto status = cublasGemmGroupedBatchedEx(
      blas, &op, &op, &side, &side, &side, &one, pointers.get(), CUDA_R_16BF, &side, pointers.get(),
      CUDA_R_16BF, &side, &zero, pointers.get(), CUDA_R_16BF, &side, 1, &size, CUBLAS_COMPUTE_32F);
  if (status != CUBLAS_STATUS_SUCCESS) std::quick_exit(1);
  std::quick_exit(cudaStreamSynchronize(stream) == cudaErrorMisalignedAddress ? 0 : 2);
}

TEST_F(GemmDeathTest, groups_of_bf16_that_are_not_in_units_of_8_break_the_context) {
  EXPECT_EXIT(group_in_twelves(blas_, stream_.stream), testing::ExitedWithCode(0), "units of 8");
}

}  // namespace
}  // namespace gembench::simulation
