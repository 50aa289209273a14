#include "moe_layer/cpu/feed_forward.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "moe_layer/cpu/memory.hpp"
#include "moe_layer/cpu/row_math.hpp"
#include "moe_layer/cpu/tuning.hpp"
#include "moe_layer/model/weights.hpp"

namespace gembench {
namespace {

constexpr int kHidden = 96, kFfn = 80, kRows = 150;

std::vector<DType> types() {
  return cpu_has_bf16() ? std::vector{DType::f32, DType::bf16} : std::vector{DType::f32};
}

/// An expert, its weights, and rows in the payload's type with room for padding.
struct Expert {
  explicit Expert(DType dtype) : dtype_(dtype), products(kHidden, kFfn, dtype) {
    ModelShape model;
    model.hidden = kHidden;
    model.ffn = kFfn;
    fill_expert(plain, 1, 0, 0, model, dtype);
    weights = cpu_memory(products.expert_bytes());
    products.load(plain, weights.as<char>());
    x.resize((kRows + CpuGemm::kChunk) * kHidden);
    fill_input(x, 1, 0, 0, kHidden);
    for (float& value : x) {
      if (dtype == DType::bf16) value = from_bf16(to_bf16(value));
    }
    rows = cpu_memory(x.size() * size_of(dtype));
    if (dtype == DType::f32) {
      std::memcpy(rows.as<char>(), x.data(), rows.bytes());
    } else {
      round_to_bf16(x.data(), rows.as<std::uint16_t>(), x.size());
    }
  }
  /// f32 [kRows][kHidden], computed in chunks of so many rows.
  std::vector<float> in_chunks(int chunk) {
    std::vector<float> all;
    for (int row = 0; row < kRows; row += chunk) {
      const auto at = static_cast<std::size_t>(row * kHidden) * size_of(dtype_);
      const float* out = products.run(chunk, rows.as<char>() + at, weights.as<char>());
      all.insert(all.end(), out, out + std::min(chunk, kRows - row) * kHidden);
    }
    return all;
  }

  DType dtype_;
  CpuFeedForward products;
  PlainExpert plain;
  Buffer weights, rows;
  std::vector<float> x;
};

double product(const float* row, const std::vector<float>& matrix, int column, int k, int n) {
  double sum = 0;
  for (int i = 0; i < k; ++i)
    sum += double{row[i]} * double{matrix[static_cast<std::size_t>(i * n + column)]};
  return sum;
}

TEST(CpuFeedForward, results_are_plain_arithmetic_in_chunks_of_any_size) {
  for (const DType dtype : types()) {
    Expert expert(dtype);
    const double tolerance = dtype == DType::f32 ? 1e-5 : 0.02;
    const auto whole = expert.in_chunks(160);
    for (const int row : {0, 77, kRows - 1}) {
      const float* x = &expert.x[static_cast<std::size_t>(row * kHidden)];
      std::vector<float> inner;
      for (int j = 0; j < kFfn; ++j) {
        const double gate = product(x, expert.plain.gate, j, kHidden, kFfn);
        const double up = product(x, expert.plain.up, j, kHidden, kFfn);
        inner.push_back(static_cast<float>(gate / (1 + std::exp(-gate)) * up));
      }
      for (int j = 0; j < kHidden; ++j) {
        EXPECT_NEAR(double{whole[static_cast<std::size_t>(row * kHidden + j)]},
                    product(inner.data(), expert.plain.down, j, kFfn, kHidden), tolerance)
            << name_of(dtype) << " row " << row << " column " << j;
      }
    }
    for (const int chunk : {1, 7, 16, 33, 64, 128}) {
      const auto parts = expert.in_chunks(chunk);
      ASSERT_EQ(parts.size(), whole.size());
      for (std::size_t i = 0; i < whole.size(); ++i) {
        ASSERT_NEAR(parts[i], whole[i], tolerance) << name_of(dtype) << " in chunks of " << chunk;
      }
    }
  }
}

TEST(CpuFeedForward, chunks_are_measured_and_the_plan_has_all_its_kernels) {
  for (const DType dtype : types()) {
    const bool tiles = cpu_has_tiles(dtype);
    CpuFeedForward experts(kHidden, kFfn, dtype);
    const auto measured = measure_chunks(experts, kHidden * size_of(dtype), tiles);
    ASSERT_EQ(measured.size(), measured_row_counts(tiles).size());
    EXPECT_GT(measured.front().first, 0);
    EXPECT_GT(measured.front().next, 0);
    EXPECT_TRUE(std::isfinite(measured.front().first));
    const ChunkPlan plan(complete_costs(measured, tiles));
    experts.prepare(plan);
    EXPECT_EQ(experts.plan().row_counts(), plan.row_counts());
  }
}

TEST(RowMath, parts_of_a_sum_are_what_they_say) {
  constexpr std::size_t n = 37;
  constexpr float weight = 0.3F;
  std::vector<float> x(n), sum(n);
  fill_input(x, 1, 0, 0, static_cast<int>(n));
  fill_input(sum, 2, 0, 0, static_cast<int>(n));
  std::vector<float> scaled(n), summed(n);
  std::vector<std::uint16_t> scaled16(n), summed16(n);
  scale(scaled.data(), x.data(), weight, n);
  scale(scaled16.data(), x.data(), weight, n);
  sum_scaled(summed.data(), sum.data(), x.data(), weight, n);
  sum_scaled(summed16.data(), sum.data(), x.data(), weight, n);
  add_scaled(sum.data(), x.data(), weight, n);
  for (std::size_t i = 0; i < n; ++i) {
    EXPECT_EQ(scaled[i], weight * x[i]);
    EXPECT_EQ(scaled16[i], to_bf16(weight * x[i]));
    EXPECT_EQ(summed[i], sum[i]);
    EXPECT_EQ(summed16[i], to_bf16(sum[i]));
  }
}

}  // namespace
}  // namespace gembench
