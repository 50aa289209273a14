#include "moe_layer/cuda/product_trial.hpp"

#include <algorithm>
#include <cmath>

#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::size_t kRows = 256;  // looked at, half of them the ends of experts' rows
constexpr std::size_t kSweeps = 2;  // times the size of the cache

std::size_t cache_bytes(Whereabouts& at) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, at.gpu), "cudaDeviceGetAttribute",
        at);
  return sz(bytes);
}

/// Values of a row in all buffers of rows: in, both, inner, out.
std::size_t row_values(const ModelShape& model) {
  return sz(2 * model.hidden) + sz(3 * model.ffn);
}

}  // namespace

std::size_t ProductTrial::bytes(const ModelShape& model, DType dtype, Whereabouts& at) {
  return (kRows + 1) * (row_values(model) * size_of(dtype) + 2 * sizeof(std::int32_t)) +
         kSweeps * cache_bytes(at);
}

ProductTrial::ProductTrial(const ModelShape& model, DType dtype, Whereabouts& at)
    : model_(model), dtype_(dtype), at_(at) {
  const auto rows_of = [&](int width) {
    return device_memory((kRows + 1) * sz(width) * size_of(dtype), at);
  };
  in_ = rows_of(model.hidden);
  both_ = rows_of(2 * model.ffn);
  inner_ = rows_of(model.ffn);
  out_ = rows_of(model.hidden);
  index_ = device_memory((kRows + 1) * sizeof(std::int32_t), at);
  matrix_ = device_memory(kRows * sizeof(std::int32_t), at);
  count_ = device_memory(sizeof(std::int32_t), at);
  swept_ = device_memory(kSweeps * cache_bytes(at), at);
  check(cudaEventCreate(&begin_), "cudaEventCreate", at);
  check(cudaEventCreate(&end_), "cudaEventCreate", at);
}

ProductTrial::~ProductTrial() {
  static_cast<void>(cudaEventDestroy(begin_));
  static_cast<void>(cudaEventDestroy(end_));
}

void ProductTrial::expect(cudaStream_t stream, const FeedForward& work, const void* gathered) {
  pairs_ = work.pairs;
  const auto& counts = work.products[0].rows;
  std::vector<std::int32_t> begins{0};
  for (const int count : counts) begins.push_back(begins.back() + count);
  rows_.clear();
  const std::size_t spread = std::min(work.pairs, work.pairs <= kRows ? kRows : kRows / 2);
  for (std::size_t i = 0; i < spread; ++i) {
    rows_.push_back(static_cast<std::int32_t>(i * work.pairs / spread));
  }
  const std::size_t step = counts.size() / (kRows / 4) + 1;
  for (std::size_t group = 0; spread < work.pairs && group < counts.size(); group += step) {
    rows_.push_back(begins[group]);
    rows_.push_back(begins[group + 1] - 1);
  }
  std::ranges::sort(rows_);
  rows_.erase(std::unique(rows_.begin(), rows_.end()), rows_.end());
  std::vector<std::int32_t> matrix;
  for (const std::int32_t row : rows_) {
    const auto after = std::ranges::upper_bound(begins, row);
    matrix.push_back(static_cast<std::int32_t>(after - begins.begin()) - 1);
  }
  const auto count = static_cast<std::int32_t>(rows_.size());
  const auto upload = [&](Buffer& to, const std::int32_t* from, std::size_t values) {
    check(
        cudaMemcpyAsync(to.as<void>(), from, values * sizeof *from, cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync", at_);
  };
  upload(index_, rows_.data(), rows_.size());
  upload(matrix_, matrix.data(), matrix.size());
  upload(count_, &count, 1);
  check(copy_rows(stream, sz(model_.hidden) * size_of(dtype_), rows_.size(),
                  count_.as<std::int32_t>(), index_.as<std::int32_t>(), gathered, in_.as<void>()),
        "copy_rows", at_);
  const auto multiply = [&](const ProductGroup& p, const Buffer& a, const Buffer& c) {
    check(plain_product(
              stream, dtype_,
              {count, p.n, p.k, a.as<void>(), p.b, matrix_.as<std::int32_t>(), c.as<void>()}),
          "plain_product", at_);
  };
  multiply(work.products[0], in_, both_);
  check(swiglu(stream, dtype_, rows_.size(), model_.ffn, both_.as<void>(), inner_.as<void>()),
        "swiglu", at_);
  multiply(work.products[1], inner_, out_);
  expected_ = read(stream, out_, rows_.size());
}

std::vector<float> ProductTrial::read(cudaStream_t stream, const Buffer& from, std::size_t rows) {
  const std::size_t values = rows * sz(model_.hidden);
  std::vector<char> raw(values * size_of(dtype_));
  check(cudaMemcpyAsync(raw.data(), from.as<void>(), raw.size(), cudaMemcpyDeviceToHost, stream),
        "cudaMemcpyAsync", at_);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  std::vector<float> floats(values);
  if (dtype_ == DType::f32) {
    std::copy_n(reinterpret_cast<const float*>(raw.data()), values, floats.begin());
  } else {
    const auto* halves = reinterpret_cast<const std::uint16_t*>(raw.data());
    std::transform(halves, halves + values, floats.begin(), from_bf16);
  }
  return floats;
}

bool ProductTrial::right(cudaStream_t stream, const void* outputs, bool row_behind) {
  // Of the largest value. bf16 keeps 8 bits, and the sums are added up in another order.
  const float tolerance = dtype_ == DType::f32 ? 1e-4F : 0.02F;
  std::vector<std::int32_t> rows = rows_;
  if (row_behind) rows.push_back(static_cast<std::int32_t>(pairs_));
  const auto count = static_cast<std::int32_t>(rows.size());
  check(cudaMemcpyAsync(index_.as<void>(), rows.data(), rows.size() * sizeof count,
                        cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync", at_);
  check(cudaMemcpyAsync(count_.as<void>(), &count, sizeof count, cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync", at_);
  check(copy_rows(stream, sz(model_.hidden) * size_of(dtype_), rows.size(),
                  count_.as<std::int32_t>(), index_.as<std::int32_t>(), outputs, out_.as<void>()),
        "copy_rows", at_);
  const auto got = read(stream, out_, rows.size());
  float largest = 0, apart = 0;
  for (std::size_t i = 0; i < expected_.size(); ++i) {
    if (!std::isfinite(got[i])) return false;
    largest = std::max(largest, std::abs(expected_[i]));
    apart = std::max(apart, std::abs(got[i] - expected_[i]));
  }
  const auto behind = std::span(got).subspan(expected_.size());
  return apart <= tolerance * largest &&
         std::ranges::all_of(behind, [](float value) { return std::isnan(value); });
}

double ProductTrial::seconds(cudaStream_t stream, const std::function<void()>& work) {
  constexpr double kMilli = 1e-3;
  check(cudaMemsetAsync(swept_.as<void>(), 0, swept_.bytes(), stream), "cudaMemsetAsync", at_);
  check(cudaEventRecord(begin_, stream), "cudaEventRecord", at_);
  work();
  check(cudaEventRecord(end_, stream), "cudaEventRecord", at_);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  float elapsed = 0;  // ms
  check(cudaEventElapsedTime(&elapsed, begin_, end_), "cudaEventElapsedTime", at_);
  return elapsed * kMilli;
}

}  // namespace gembench::inline cuda
