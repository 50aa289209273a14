// cublasLt as it is simulated: what it proposes, computes and refuses.

#include <cublasLt.h>
#include <cuda_bf16.h>

#include <array>

#include "tests/cuda_simulation/support.hpp"

namespace gembench::simulation {
namespace {

constexpr int kM = 8, kN = 3, kK = 16;
using Value = __nv_bfloat16;

class Lt : public SimulationTest {
 protected:
  Lt() {
    EXPECT_EQ(cublasLtCreate(&lt_), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescInit(&product_, CUBLAS_COMPUTE_32F, CUDA_R_32F),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulPreferenceInit(&preference_), CUBLAS_STATUS_SUCCESS);
    use_columns(kN);
  }
  ~Lt() override { EXPECT_EQ(cublasLtDestroy(lt_), CUBLAS_STATUS_SUCCESS); }

  void use_columns(int columns) {
    const auto n = static_cast<std::uint64_t>(columns);
    EXPECT_EQ(cublasLtMatrixLayoutInit(&a_, CUDA_R_16BF, kM, kK, kM), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatrixLayoutInit(&b_, CUDA_R_16BF, kK, n, kK), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatrixLayoutInit(&c_, CUDA_R_16BF, kM, n, kM), CUBLAS_STATUS_SUCCESS);
  }
  /// What is proposed with so large a workspace.
  std::vector<cublasLtMatmulAlgo_t> proposed(std::uint64_t workspace) {
    EXPECT_EQ(
        cublasLtMatmulPreferenceSetAttribute(&preference_, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &workspace, sizeof workspace),
        CUBLAS_STATUS_SUCCESS);
    std::array<cublasLtMatmulHeuristicResult_t, 8> results;
    int found = 0;
    EXPECT_EQ(cublasLtMatmulAlgoGetHeuristic(lt_, &product_, &a_, &b_, &c_, &c_, &preference_, 8,
                                             results.data(), &found),
              CUBLAS_STATUS_SUCCESS);
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; i < found; ++i) algorithms.push_back(results.at(sz(i)).algo);
    return algorithms;
  }
  cublasStatus_t multiply(const cublasLtMatmulAlgo_t* algorithm, std::size_t workspace,
                          std::size_t shift = 0) {
    const float one = 1, zero = 0;
    return cublasLtMatmul(lt_, &product_, &one, on_a_.get() + shift, &a_, on_b_.get(), &b_, &zero,
                          on_c_.get(), &c_, on_c_.get(), &c_, algorithm, space_.get(), workspace,
                          stream_.stream);
  }
  static std::size_t sz(int value) { return static_cast<std::size_t>(value); }

  cublasLtHandle_t lt_ = nullptr;
  cublasLtMatmulDescOpaque_t product_{};
  cublasLtMatrixLayoutOpaque_t a_{}, b_{}, c_{};
  cublasLtMatmulPreferenceOpaque_t preference_{};
  const Values<Value> on_a_{std::vector<Value>(kM * kK + 8, Value(2.0F))};
  const Values<Value> on_b_{std::vector<Value>(kK * kN, Value(3.0F))};
  const Values<Value> on_c_{std::vector<Value>(kM * kN, Value(-1.0F))};
  const Values<char> space_{std::size_t{1} << 20};
  TestStream stream_;
};

TEST_F(Lt, every_algorithm_that_it_proposes_multiplies) {
  const auto algorithms = proposed(1 << 20);
  ASSERT_EQ(algorithms.size(), 3U);
  for (const auto& algorithm : algorithms) {
    EXPECT_EQ(multiply(&algorithm, 1 << 20), CUBLAS_STATUS_SUCCESS);
    EXPECT_CUDA(cudaStreamSynchronize(stream_.stream));
    for (const Value value : on_c_.read()) ASSERT_EQ(static_cast<float>(value), 96.0F);
    EXPECT_CUDA(cudaMemsetAsync(on_c_.get(), 0, kM * kN * sizeof(Value), stream_.stream));
  }
  EXPECT_EQ(multiply(nullptr, 0), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(proposed(0).size(), 2U);
}

TEST_F(Lt, what_an_algorithm_is_not_for_is_refused) {
  const auto algorithms = proposed(1 << 20);
  ASSERT_EQ(algorithms.size(), 3U);
  EXPECT_EQ(multiply(&algorithms[1], 0), CUBLAS_STATUS_INVALID_VALUE);           // no workspace
  EXPECT_EQ(multiply(&algorithms[0], 1 << 20, 1), CUBLAS_STATUS_INVALID_VALUE);  // alignment
  use_columns(2);  // fewer than it was proposed for
  cublasLtMatmulHeuristicResult_t result;
  EXPECT_EQ(multiply(&algorithms[2], 1 << 20), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(cublasLtMatmulAlgoCheck(lt_, &product_, &a_, &b_, &c_, &c_, &algorithms[2], &result),
            CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_EQ(cublasLtMatmulAlgoCheck(lt_, &product_, &a_, &b_, &c_, &c_, &algorithms[1], &result),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(result.workspaceSize, std::size_t{1} << 20);
  EXPECT_EQ(multiply(&algorithms[0], 1 << 20), CUBLAS_STATUS_SUCCESS);
  EXPECT_CUDA(cudaStreamSynchronize(stream_.stream));
  use_columns(kN);
  a_ = b_;  // shapes that do not fit
  EXPECT_EQ(multiply(nullptr, 0), CUBLAS_STATUS_INVALID_VALUE);
}

}  // namespace
}  // namespace gembench::simulation
