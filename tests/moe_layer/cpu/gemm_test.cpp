#include "moe_layer/cpu/gemm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "moe_layer/model/weights.hpp"
#include "placement/base/random.hpp"

namespace gembench {
namespace {

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.uniform() * 2 - 1);
  return values;
}

struct Shape {
  int m, k, n;
};

class CpuGemmShapes : public testing::TestWithParam<Shape> {};

TEST_P(CpuGemmShapes, product_and_epilogues_match_plain_loops) {
  const auto [m, k, n] = GetParam();
  const int rows = CpuGemm::padded(m);
  const auto a = random_values(static_cast<std::size_t>(rows * k), 1);
  const auto b = random_values(static_cast<std::size_t>(k * n), 2);
  const auto factor = random_values(static_cast<std::size_t>(rows * n), 3);
  for (const Epilogue epilogue : {Epilogue::none, Epilogue::swish, Epilogue::multiply}) {
    CpuGemm gemm(k, n, DType::f32, DType::f32, epilogue);
    std::vector<char> packed(gemm.packed_bytes());
    gemm.pack(b.data(), packed.data());
    std::vector<float> c(static_cast<std::size_t>(rows * n), NAN);
    gemm.run_chunk(m, a.data(), packed.data(), c.data(), factor.data());
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double sum = 0;
        for (int l = 0; l < k; ++l) {
          sum += static_cast<double>(a[static_cast<std::size_t>(i * k + l)]) *
                 static_cast<double>(b[static_cast<std::size_t>(l * n + j)]);
        }
        const auto at = static_cast<std::size_t>(i * n + j);
        const double expected = epilogue == Epilogue::none ? sum
                                : epilogue == Epilogue::swish
                                    ? sum / (1 + std::exp(-sum))
                                    : sum * static_cast<double>(factor[at]);
        ASSERT_NEAR(static_cast<double>(c[at]), expected, 1e-4 * k) << i << ' ' << j;
      }
    }
  }
}

// One row, padded chunks, one chunk full, widths that are no multiple of a vector.
INSTANTIATE_TEST_SUITE_P(Sizes, CpuGemmShapes,
                         testing::Values(Shape{1, 16, 16}, Shape{3, 33, 17}, Shape{7, 64, 48},
                                         Shape{157, 31, 29}, Shape{CpuGemm::kChunk, 31, 29}));

TEST(CpuGemm, chunks_are_padded_to_the_next_row_count_with_a_kernel) {
  for (int m = 1; m <= CpuGemm::kChunk; ++m) {
    int next = m;
    while (std::ranges::count(CpuGemm::kRowCounts, next) == 0) ++next;
    EXPECT_EQ(CpuGemm::padded(m), next);
  }
}

// A kernel for every number of rows takes seconds to generate on a CPU with AMX.
TEST(CpuGemm, has_few_kernels_and_makes_none_once_prepared) {
  constexpr int k = 16, n = 8;
  CpuGemm gemm(k, n, DType::f32, DType::f32, Epilogue::none);
  gemm.prepare();
  const int made = gemm.kernels();
  EXPECT_EQ(made, static_cast<int>(CpuGemm::kRowCounts.size()));
  EXPECT_LE(made, 20);
  const std::vector<float> a(CpuGemm::kChunk * k, 1.0F), b(k * n, 1.0F);
  std::vector<char> packed(gemm.packed_bytes());
  gemm.pack(b.data(), packed.data());
  for (int m = 1; m <= CpuGemm::kChunk; ++m) {
    std::vector<float> c(static_cast<std::size_t>(CpuGemm::padded(m) * n), NAN);
    gemm.run_chunk(m, a.data(), packed.data(), c.data());
    EXPECT_EQ(c[static_cast<std::size_t>(m * n - 1)], static_cast<float>(k)) << m;
  }
  EXPECT_EQ(gemm.kernels(), made);
}

TEST(CpuGemm, rows_of_padding_change_nothing) {
  constexpr int m = 5, k = 48, n = 32;
  CpuGemm gemm(k, n, DType::f32, DType::f32, Epilogue::swish);
  const auto b = random_values(k * n, 2);
  std::vector<char> packed(gemm.packed_bytes());
  gemm.pack(b.data(), packed.data());
  auto a = random_values(CpuGemm::padded(m) * k, 1);
  std::vector<float> clean(CpuGemm::padded(m) * n), odd(clean);
  gemm.run_chunk(m, a.data(), packed.data(), clean.data());
  std::fill(a.begin() + m * k, a.end(), NAN);
  gemm.run_chunk(m, a.data(), packed.data(), odd.data());
  EXPECT_TRUE(std::equal(clean.begin(), clean.begin() + m * n, odd.begin()));
}

TEST(CpuGemm, bf16_multiplies_where_this_cpu_has_it) {
  if (!cpu_has_bf16()) GTEST_SKIP() << "this CPU has no AVX-512 BF16";
  const int m = 5, k = 64, n = 32;
  auto a = random_values(static_cast<std::size_t>(CpuGemm::padded(m) * k), 1);
  auto b = random_values(static_cast<std::size_t>(k * n), 2);
  std::vector<std::uint16_t> bits;
  for (float& value : a) bits.push_back(to_bf16(value)), value = from_bf16(bits.back());
  for (float& value : b) value = from_bf16(to_bf16(value));
  CpuGemm gemm(k, n, DType::bf16, DType::f32, Epilogue::none);
  std::vector<char> packed(gemm.packed_bytes());
  gemm.pack(b.data(), packed.data());
  std::vector<float> c(static_cast<std::size_t>(CpuGemm::padded(m) * n));
  gemm.run_chunk(m, bits.data(), packed.data(), c.data());
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int l = 0; l < k; ++l) {
        sum += static_cast<double>(a[static_cast<std::size_t>(i * k + l)]) *
               static_cast<double>(b[static_cast<std::size_t>(l * n + j)]);
      }
      EXPECT_NEAR(static_cast<double>(c[static_cast<std::size_t>(i * n + j)]), sum, 1e-3);
    }
  }
}

}  // namespace
}  // namespace gembench
