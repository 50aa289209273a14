#include "moe_layer/cuda/lt.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <span>
#include <utility>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr int kProposed = 4;
constexpr int kRounds = 3;
constexpr double kLead = 0.05;                           // as ProductChoice
constexpr std::int64_t kFailed = 1'000'000'000'000'000;  // ns; of a sum over ranks: on one at least

}  // namespace

LtProduct::LtProduct(cublasLtHandle_t handle, int n, int k, Whereabouts& at)
    : handle_(handle), n_(n), k_(k), at_(at) {
  // A row starts where the one before it ends; 16 bytes are the most that a kernel moves at once.
  constexpr unsigned kMost = 16;
  const auto bytes = 2U * (static_cast<unsigned>(n) | static_cast<unsigned>(k)) | kMost;
  alignment_ = std::size_t{1} << std::countr_zero(bytes);
}

std::size_t LtProduct::class_of(std::int64_t rows) {
  return static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(rows - 1)));
}

LtProduct::Call LtProduct::call_of(int rows) const {
  Call call{};
  const auto columns = static_cast<std::uint64_t>(rows);
  const auto n = static_cast<std::uint64_t>(n_), k = static_cast<std::uint64_t>(k_);
  // Into memory of their own size: only an argument that is null could fail.
  static_cast<void>(cublasLtMatmulDescInit(&call.product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  static_cast<void>(cublasLtMatrixLayoutInit(&call.a, CUDA_R_16BF, n, k, n_));
  static_cast<void>(cublasLtMatrixLayoutInit(&call.b, CUDA_R_16BF, k, columns, k_));
  static_cast<void>(cublasLtMatrixLayoutInit(&call.c, CUDA_R_16BF, n, columns, n_));
  return call;
}

/// Those for `most` rows that can also do `least`.
std::vector<cublasLtMatmulAlgo_t> LtProduct::propose(int least, int most) const {
  cublasLtMatmulPreferenceOpaque_t preference{};
  check(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit", at_);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(&preference, what, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute", at_);
  };
  const std::uint64_t workspace = Gemm::workspace_bytes();
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace);
  const auto alignment = static_cast<std::uint32_t>(alignment_);
  for (const auto matrix :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(matrix, alignment);
  }
  Call call = call_of(most), small = call_of(least);
  std::array<cublasLtMatmulHeuristicResult_t, kProposed> results{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle_, &call.product, &call.a, &call.b, &call.c, &call.c,
                                     &preference, kProposed, results.data(), &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  check(status, "cublasLtMatmulAlgoGetHeuristic", at_);
  std::vector<cublasLtMatmulAlgo_t> proposed;
  for (const auto& result : std::span(results).first(sz(std::clamp(found, 0, kProposed)))) {
    if (result.state != CUBLAS_STATUS_SUCCESS) continue;
    cublasLtMatmulHeuristicResult_t checked{};
    const bool fits =
        cublasLtMatmulAlgoCheck(handle_, &small.product, &small.a, &small.b, &small.c, &small.c,
                                &result.algo, &checked) == CUBLAS_STATUS_SUCCESS &&
        checked.workspaceSize <= Gemm::workspace_bytes();
    if (fits) proposed.push_back(result.algo);
  }
  return proposed;
}

bool LtProduct::choose(const Comm& comm, std::int64_t most, const Product& sample,
                       Buffer& workspace, cudaStream_t stream, const Clock& clock) {
  classes_.clear();
  for (std::size_t c = 0; most > 0 && c <= class_of(most); ++c) {
    const int largest = static_cast<int>(std::min<std::int64_t>(most, std::int64_t{1} << c));
    const int least = c == 0 ? 1 : (1 << (c - 1)) + 1;
    Class& of_size = classes_.emplace_back();
    of_size.proposed = propose(least, largest);
    const auto proposed = static_cast<std::int64_t>(of_size.proposed.size());
    const std::int64_t common = comm.min(proposed);
    if (common == 0) return false;
    // GPUs of several kinds may be proposed others: then each takes its first.
    if (-comm.min(-proposed) != common || !clock) continue;
    Product product = sample;
    product.rows = std::min(sample.rows, largest);
    // A smaller size of the class may be all that this rank can have.
    std::vector<std::int64_t> sums(of_size.proposed.size(), 0);
    if (product.rows >= least) {
      sums = nanoseconds(of_size, [&](const cublasLtMatmulAlgo_t& algorithm) {
        return clock([&] { run(stream, product, workspace, &algorithm); });
      });
    }
    comm.sum_in_place(sums);
    const auto first = std::ranges::find_if(sums, [](auto ns) { return ns < kFailed; });
    if (first == sums.end()) return false;
    const auto best = std::ranges::min_element(sums);
    const bool leads = static_cast<double>(*best) <= (1 - kLead) * static_cast<double>(*first);
    of_size.chosen = sz((leads ? best : first) - sums.begin());
  }
  return true;
}

/// The least of some readings of each; kFailed of one that cannot be run.
template <class Seconds>
std::vector<std::int64_t> LtProduct::nanoseconds(const Class& of_size, const Seconds& seconds) {
  constexpr double kNano = 1e9;
  std::vector<std::int64_t> least(of_size.proposed.size(), kFailed - 1);
  // What is refused here is only left out, and no rank waits for this one in a kernel.
  auto on_error = std::exchange(at_.on_error, nullptr);
  for (int round = 0; round <= kRounds; ++round) {
    for (std::size_t i = 0; i < least.size(); ++i) {
      if (least[i] == kFailed) continue;
      try {
        const std::int64_t ns = std::llround(seconds(of_size.proposed[i]) * kNano);
        if (round > 0) least[i] = std::min(least[i], ns);  // the first is to load its code
      } catch (const Error&) {
        least[i] = kFailed;
      }
    }
  }
  at_.on_error = std::move(on_error);
  return least;
}

bool LtProduct::can_take(const std::vector<int>& choices) const {
  bool fits = choices.size() == classes_.size();
  for (std::size_t c = 0; fits && c < choices.size(); ++c) {
    fits = choices[c] >= 0 && sz(choices[c]) < classes_[c].proposed.size();
  }
  return fits;
}

void LtProduct::take(const std::vector<int>& choices) {
  for (std::size_t c = 0; c < choices.size(); ++c) classes_[c].chosen = sz(choices[c]);
}

std::vector<int> LtProduct::choices() const {
  std::vector<int> all;
  for (const Class& of_size : classes_) all.push_back(static_cast<int>(of_size.chosen));
  return all;
}

void LtProduct::run(cudaStream_t stream, const Product& product, Buffer& workspace) {
  const std::size_t c = class_of(product.rows);
  const bool chosen = c < classes_.size() && !classes_[c].proposed.empty();
  run(stream, product, workspace, chosen ? &classes_[c].proposed[classes_[c].chosen] : nullptr);
}

void LtProduct::run(cudaStream_t stream, const Product& p, Buffer& workspace,
                    const cublasLtMatmulAlgo_t* algorithm) {
  Call call = call_of(p.rows);
  const float one = 1, zero = 0;
  check(
      cublasLtMatmul(handle_, &call.product, &one, p.b, &call.a, p.a, &call.b, &zero, p.c, &call.c,
                     p.c, &call.c, algorithm, workspace.as<void>(), workspace.bytes(), stream),
      "cublasLtMatmul", at_);
}

}  // namespace gembench::inline cuda
