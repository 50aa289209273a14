#include "moe_layer/cuda/expert_products.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "moe_layer/cuda/cutlass/grouped.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::size_t kScratch = std::size_t{64} << 10;
constexpr std::size_t kWidths = 3;  // of matrices: 2 ffn, hidden, ffn

/// Types of values that a way computes: bf16 with f32 sums, and true f32. FP8 and MXFP4 would be
/// further ones.
constexpr unsigned bit(DType dtype) {
  return 1U << static_cast<unsigned>(dtype);
}

}  // namespace

struct ExpertProducts::Row {
  const char* name;
  unsigned types;  // bits of DType
  int unit;        // values that hidden and ffn must be multiples of
  int capability;  // the only compute capability that it is compiled for; 0: any
  std::string (ExpertProducts::*lacks)();
  void (ExpertProducts::*run)(cudaStream_t, const FeedForward&);
};

// cuBLAS 13.1 groups bf16 products by a kernel that moves 8 values at once, and so does TMA.
const std::array<ExpertProducts::Row, 4> ExpertProducts::kRows{{
    {"cublas-grouped", bit(DType::bf16), 8, 0, &ExpertProducts::lacks_groups,
     &ExpertProducts::run_grouped},
    {"cublas", bit(DType::bf16) | bit(DType::f32), 1, 0, &ExpertProducts::lacks_nothing,
     &ExpertProducts::run_each},
    {"cublaslt", bit(DType::bf16), 1, 0, &ExpertProducts::lacks_lt, &ExpertProducts::run_lt},
    {"cutlass", bit(DType::bf16), 8, 90, &ExpertProducts::lacks_cutlass,
     &ExpertProducts::run_cutlass},
}};

const std::vector<std::string>& ExpertProducts::names() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    for (const Row& row : kRows) names.emplace_back(row.name);
    return names;
  }();
  return all;
}

ExpertProducts::ExpertProducts(const ModelShape& model, DType dtype, Gemm& gemm, Whereabouts& at)
    : model_(model), dtype_(dtype), gemm_(gemm), at_(at) {
  int major = 0, minor = 0;
  const auto attribute = [&](int& to, cudaDeviceAttr what) {
    check(cudaDeviceGetAttribute(&to, what, at_.gpu), "cudaDeviceGetAttribute", at_);
  };
  attribute(major, cudaDevAttrComputeCapabilityMajor);
  attribute(minor, cudaDevAttrComputeCapabilityMinor);
  attribute(multiprocessors_, cudaDevAttrMultiProcessorCount);
  capability_ = 10 * major + minor;
  check(cudaEventCreateWithFlags(&begun_, cudaEventDisableTiming), "cudaEventCreateWithFlags", at_);
  for (int i = 0; i < kStreams; ++i) {
    Branch& branch = branches_.emplace_back();
    check(cudaStreamCreateWithFlags(&branch.stream, cudaStreamNonBlocking),
          "cudaStreamCreateWithFlags", at_);
    check(cudaEventCreateWithFlags(&branch.done, cudaEventDisableTiming),
          "cudaEventCreateWithFlags", at_);
    branch.gemm = std::make_unique<Gemm>(at_);
  }
  for (const Row& row : kRows) {
    std::string& lack = lacks_.emplace_back();
    if ((row.types & bit(dtype)) == 0) {
      lack = fmt::format("it does not compute {}", name_of(dtype));
    } else if (model.hidden % row.unit != 0 || model.ffn % row.unit != 0) {
      lack = fmt::format("hidden and ffn are no multiples of {}", row.unit);
    } else if (row.capability != 0 && row.capability != capability_) {
      lack = fmt::format("it is for compute capability {}.{}", row.capability / 10,
                         row.capability % 10);
    } else {
      lack = (this->*row.lacks)();
    }
  }
}

ExpertProducts::~ExpertProducts() {
  if (lt_ != nullptr) static_cast<void>(cublasLtDestroy(lt_));
  for (const Branch& branch : branches_) {
    static_cast<void>(cudaEventDestroy(branch.done));
    static_cast<void>(cudaStreamDestroy(branch.stream));
  }
  static_cast<void>(cudaEventDestroy(begun_));
}

std::vector<std::string> ExpertProducts::there() const {
  std::vector<std::string> found;
  for (std::size_t way = 0; way < lacks_.size(); ++way) {
    if (lacks_[way].empty()) found.push_back(names()[way]);
  }
  return found;
}

std::string ExpertProducts::lacks_nothing() {
  return {};
}

std::string ExpertProducts::lacks_groups() {
  Buffer scratch = device_memory(kScratch, at_);
  return gemm_.has_groups(nullptr, scratch) ? "" : "this cuBLAS has no such call for this GPU";
}

std::string ExpertProducts::lacks_lt() {
  const cublasStatus_t status = cublasLtCreate(&lt_);
  if (status != CUBLAS_STATUS_SUCCESS) {
    lt_ = nullptr;
    return fmt::format("cublasLtCreate failed: {}", cublasGetStatusString(status));
  }
  lt_products_.emplace_back(lt_, 2 * model_.ffn, model_.hidden, at_);
  lt_products_.emplace_back(lt_, model_.hidden, model_.ffn, at_);
  return {};
}

std::string ExpertProducts::lacks_cutlass() {
  return has_cutlass() ? "" : "the program was built without CUTLASS";
}

std::size_t ExpertProducts::scratch_bytes() const {
  if (!lacks_.back().empty()) return 0;
  return cutlass_workspace_bytes(multiprocessors_) +
         kWidths * sz(model_.experts) * sizeof(std::int64_t);
}

void ExpertProducts::prepare() {
  if (!lacks_.back().empty()) return;
  cutlass_ = device_memory(cutlass_workspace_bytes(multiprocessors_), at_);
  std::vector<std::int64_t> strides;
  for (const int width : {2 * model_.ffn, model_.hidden, model_.ffn}) {
    strides.insert(strides.end(), sz(model_.experts), width);
  }
  strides_ = device_memory(strides.size() * sizeof(std::int64_t), at_);
  check(cudaMemcpy(strides_.as<void>(), strides.data(), strides_.bytes(), cudaMemcpyHostToDevice),
        "cudaMemcpy", at_);
}

void ExpertProducts::run(std::size_t way, cudaStream_t stream, const FeedForward& work) {
  (this->*kRows[way].run)(stream, work);
}

void ExpertProducts::swiglu(cudaStream_t stream, std::size_t rows, const void* both, void* inner) {
  check(cuda::swiglu(stream, dtype_, rows, model_.ffn, both, inner), "swiglu", at_);
}

void ExpertProducts::run_grouped(cudaStream_t stream, const FeedForward& work) {
  gemm_.run(stream, work.products[0]);
  swiglu(stream, work.pairs, work.both, work.inner);
  gemm_.run(stream, work.products[1]);
}

void ExpertProducts::run_cutlass(cudaStream_t stream, const FeedForward& work) {
  const std::int64_t* const strides = strides_.as<std::int64_t>();
  const auto width = [&](std::size_t which) { return strides + which * sz(model_.experts); };
  const auto multiply = [&](const ProductGroup& p, std::size_t n, std::size_t k) {
    const CutlassGroup group{static_cast<int>(p.rows.size()),
                             static_cast<std::int64_t>(work.pairs),
                             p.sizes,
                             p.a,
                             p.b,
                             p.c,
                             width(n),
                             width(k),
                             cutlass_.as<void>(),
                             multiprocessors_};
    check(cuda::run_cutlass(stream, group), "CUTLASS's grouped product", at_);
  };
  multiply(work.products[0], 0, 1);
  swiglu(stream, work.pairs, work.both, work.inner);
  multiply(work.products[1], 1, 2);
}

template <class Multiply>
void ExpertProducts::fork(cudaStream_t stream, const FeedForward& work, const Multiply& multiply) {
  check(cudaEventRecord(begun_, stream), "cudaEventRecord", at_);
  for (const Branch& branch : branches_) {
    check(cudaStreamWaitEvent(branch.stream, begun_, 0), "cudaStreamWaitEvent", at_);
  }
  for (std::size_t group = 0; group < work.products[0].rows.size(); ++group) {
    Branch& branch = branches_[group % branches_.size()];
    const Product first = work.products[0].one(group, dtype_);
    const Product second = work.products[1].one(group, dtype_);
    multiply(branch, first, 0);
    swiglu(branch.stream, sz(first.rows), first.c, const_cast<void*>(second.a));
    multiply(branch, second, 1);
  }
  for (const Branch& branch : branches_) {
    check(cudaEventRecord(branch.done, branch.stream), "cudaEventRecord", at_);
    check(cudaStreamWaitEvent(stream, branch.done, 0), "cudaStreamWaitEvent", at_);
  }
}

void ExpertProducts::run_each(cudaStream_t stream, const FeedForward& work) {
  fork(stream, work, [](Branch& branch, const Product& product, std::size_t /*which*/) {
    branch.gemm->run(branch.stream, product);
  });
}

void ExpertProducts::run_lt(cudaStream_t stream, const FeedForward& work) {
  fork(stream, work, [&](Branch& branch, const Product& product, std::size_t which) {
    lt_products_[which].run(branch.stream, product, branch.gemm->workspace());
  });
}

bool ExpertProducts::choose_algorithms(const Comm& comm, std::int64_t most,
                                       const std::array<Product, 2>& samples, cudaStream_t stream,
                                       const LtProduct::Clock& clock) {
  for (std::size_t i = 0; i < lt_products_.size(); ++i) {
    if (!lt_products_[i].choose(comm, most, samples[i], gemm_.workspace(), stream, clock)) {
      return false;
    }
  }
  return true;
}

std::string ExpertProducts::algorithms() const {
  std::vector<std::string> words;
  bool first = true;
  for (const LtProduct& product : lt_products_) {
    const auto choices = product.choices();
    first = first && std::ranges::all_of(choices, [](int choice) { return choice == 0; });
    words.push_back(fmt::format("{}", fmt::join(choices, " ")));
  }
  return first ? std::string() : fmt::format("{}", fmt::join(words, ", "));
}

bool ExpertProducts::take_algorithms(const Comm& comm, const std::string& words) {
  std::vector<std::vector<int>> lists(1);
  if (words.empty()) {
    lists.clear();
    for (const LtProduct& product : lt_products_) lists.emplace_back(product.choices().size(), 0);
  }
  const char* at = words.data();
  const char* const end = at + words.size();
  while (at < end) {
    if (*at == ' ' || *at == ',') {
      if (*at++ == ',') lists.emplace_back();
      continue;
    }
    int number = 0;
    const auto [stop, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return false;  // on all ranks: the words are the same
    lists.back().push_back(number);
    at = stop;
  }
  if (lists.size() != lt_products_.size()) return false;
  bool fit = true;
  for (std::size_t i = 0; i < lists.size(); ++i) fit = fit && lt_products_[i].can_take(lists[i]);
  if (comm.min(fit ? 1 : 0) == 0) return false;  // nothing has changed
  for (std::size_t i = 0; i < lists.size(); ++i) lt_products_[i].take(lists[i]);
  return true;
}

}  // namespace gembench::inline cuda
