// The expert phase of the CUDA device, by each of its ways to compute the products, against cuBLAS
// alone on products of the same shapes.
#include <cublas_v2.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "moe_layer/cuda/expert_products.hpp"
#include "moe_layer/model/weights.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "tests/bench/cuda_bench.hpp"

namespace gembench::bench {
namespace {

constexpr cublasOperation_t kPlain = CUBLAS_OP_N;
constexpr float kOne = 1, kZero = 0;

/// The two products of every expert and nothing between them: gate|up [tokens][hidden] x
/// [hidden][2 ffn], down [tokens][ffn] x [ffn][hidden], bf16 summed in f32. Row-major C = A B is
/// column-major C' = B' A' in the same memory.
class BareProducts {
 public:
  BareProducts(Device& device, const ModelShape& model, int max_tokens)
      : model_(model),
        wide_(device.allocate(sz(model.experts) * sz(max_tokens) * sz(2 * model.ffn) * 2)),
        out_(device.allocate(sz(model.experts) * sz(max_tokens) * sz(model.hidden) * 2)) {
    require(cublasCreate(&handle_), "cublasCreate");
    require(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    require(cublasSetStream(handle_, stream_), "cublasSetStream");
  }
  ~BareProducts() {
    static_cast<void>(cublasDestroy(handle_));
    static_cast<void>(cudaStreamDestroy(stream_));
  }
  BareProducts(const BareProducts&) = delete;
  BareProducts& operator=(const BareProducts&) = delete;

  /// Rows of expert e from e * tokens; an expert's buffer begins with gate|up, down is its last
  /// part.
  void use(Device& device, const Buffer& rows, const std::vector<Buffer>& experts, int tokens) {
    const std::size_t hidden = sz(model_.hidden), ffn = sz(model_.ffn);
    tokens_ = tokens;
    for (auto& list : matrices_) list.clear();
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const std::size_t row = e * sz(tokens);
      char* const weights = experts[e].as<char>();
      char* const wide = wide_.as<char>() + row * 2 * ffn * 2;
      void* const ends[] = {rows.as<char>() + row * hidden * 2,
                            weights,
                            wide,
                            wide,
                            weights + experts[e].bytes() - hidden * ffn * 2,
                            out_.as<char>() + row * hidden * 2};
      for (std::size_t i = 0; i < matrices_.size(); ++i) matrices_[i].push_back(ends[i]);
    }
    const std::size_t bytes = experts.size() * sizeof(void*);
    table_ = device.allocate(matrices_.size() * bytes);
    for (std::size_t i = 0; i < matrices_.size(); ++i) {
      device.upload(table_, i * bytes, matrices_[i].data(), bytes);
    }
  }
  void run_each() {
    for (std::size_t e = 0; e < matrices_[0].size(); ++e) {
      for (const std::size_t i : {std::size_t{0}, std::size_t{3}}) {
        const auto [n, k] = shape(i);
        require(cublasGemmEx(handle_, kPlain, kPlain, n, tokens_, k, &kOne, matrices_[i + 1][e],
                             CUDA_R_16BF, n, matrices_[i][e], CUDA_R_16BF, k, &kZero,
                             matrices_[i + 2][e], CUDA_R_16BF, n, CUBLAS_COMPUTE_32F,
                             CUBLAS_GEMM_DEFAULT),
                "cublasGemmEx");
      }
    }
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }
  /// Whether cuBLAS has that call here.
  bool run_grouped() {
#if CUBLAS_VERSION >= 120500
    const std::size_t groups = matrices_[0].size();
    const std::vector<cublasOperation_t> plain(groups, kPlain);
    const std::vector<int> rows(groups, tokens_), each(groups, 1);
    const std::vector<float> one(groups, kOne), zero(groups, kZero);
    for (const std::size_t i : {std::size_t{0}, std::size_t{3}}) {
      const std::vector<int> n(groups, shape(i).first), k(groups, shape(i).second);
      const auto list = [&](std::size_t which) { return table_.as<void*>() + which * groups; };
      const auto status = cublasGemmGroupedBatchedEx(
          handle_, plain.data(), plain.data(), n.data(), rows.data(), k.data(), one.data(),
          list(i + 1), CUDA_R_16BF, n.data(), list(i), CUDA_R_16BF, k.data(), zero.data(),
          list(i + 2), CUDA_R_16BF, n.data(), static_cast<int>(groups), each.data(),
          CUBLAS_COMPUTE_32F);
      if (status == CUBLAS_STATUS_NOT_SUPPORTED) return false;
      require(status, "cublasGemmGroupedBatchedEx");
    }
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
    return true;
#else
    return false;
#endif
  }
  /// So that what is checked afterwards is of the next products.
  void forget() {
    for (const Buffer* buffer : {&wide_, &out_}) {
      require(cudaMemsetAsync(buffer->as<char>(), 0xff, buffer->bytes(), stream_),  // NaN
              "cudaMemsetAsync");
    }
    require(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }
  [[nodiscard]] const Buffer& wide() const {
    return wide_;
  }
  [[nodiscard]] const Buffer& out() const {
    return out_;
  }

 private:
  /// n and k of the product whose matrices begin at `i`.
  [[nodiscard]] std::pair<int, int> shape(std::size_t i) const {
    return i == 0 ? std::pair{2 * model_.ffn, model_.hidden} : std::pair{model_.hidden, model_.ffn};
  }

  ModelShape model_;
  int tokens_ = 0;
  Buffer wide_, out_, table_;
  std::array<std::vector<void*>, 6> matrices_;  // a, b, c of both products; [expert]
  cublasHandle_t handle_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

class Experts {
 public:
  Experts(const Comm& comm, const ModelShape& model, int max_tokens)
      : comm_(comm),
        model_(model),
        device_(make_gpu(comm, model)),
        bare_(*device_, model, max_tokens) {
    const std::size_t rows = sz(model.experts) * sz(max_tokens), hidden = sz(model.hidden);
    rows_ = device_->allocate(rows * hidden * 2);
    pairs_ = device_->allocate(rows * sizeof(Pair));
    results_ = device_->allocate(rows * hidden * 2);
    slot_tokens_ = device_->allocate(sz(model.experts) * sizeof(std::int32_t));
    const std::size_t made = std::min(rows, kMadeRows);  // then they repeat
    std::vector<float> input(made * hidden);
    fill_input(input, 1, 0, 0, model.hidden);
    std::vector<std::uint16_t> halves;
    for (const float value : input) halves.push_back(to_bf16(value));
    for (std::size_t row = 0; row < rows; row += made) {
      device_->upload(rows_, row * hidden * 2, halves.data(),
                      std::min(made, rows - row) * hidden * 2);
    }
    for (int e = 0; e < model.experts; ++e) {
      fill_expert(plain_, 1, 0, e, model, DType::bf16);
      weights_.push_back(device_->allocate(device_->expert_bytes()));
      device_->load_expert(weights_.back(), plain_);
      if (e == 0) first_ = first_columns();
      if (e == model.experts - 1) last_ = first_columns();
    }
    for (const Buffer& expert : weights_) slots_.push_back(&expert);
    for (const std::string& name : cuda::ExpertProducts::names()) add_way(name, {0, rows, rows});
  }

  void time(const Effort& effort, int tokens) {
    std::vector<Pair> pairs;
    for (std::int32_t row = 0; row < model_.experts * tokens; ++row) {
      pairs.push_back({row, row / tokens, 1.0F});
    }
    device_->upload(pairs_, 0, pairs.data(), pairs.size() * sizeof(Pair));
    // As received from this rank; the others sent nothing.
    std::vector<std::int32_t> from(sz(comm_.size()), 0);
    from[0] = static_cast<std::int32_t>(pairs.size());
    const std::vector<std::int32_t> each(sz(model_.experts), tokens);
    ExpertArgs args;
    args.slots = slots_;
    args.rows_from = from;
    args.pairs_from = from;
    args.pairs_to = each;
    args.rows = &rows_;
    args.pairs = &pairs_;
    args.results = &results_;
    args.slot_tokens = &slot_tokens_;
    bare_.use(*device_, rows_, weights_, tokens);
    bare_.forget();
    bare_.run_each();
    require_products("cublasGemmEx", tokens);
    bare_.forget();
    bool grouped = bare_.run_grouped();
    if (grouped) require_products("cublasGemmGroupedBatchedEx", tokens);
    constexpr int kTries = 5;  // the faster way is the reference
    grouped = grouped && span_of(comm_, kTries, [&] { bare_.run_grouped(); }) <
                             span_of(
                                 comm_, kTries, [&] { bare_.run_each(); });
    const auto reference = [&] { grouped ? void(bare_.run_grouped()) : bare_.run_each(); };
    const double flop = 6.0 * static_cast<double>(pairs.size()) * model_.hidden * model_.ffn;
    for (const Way& way : ways_) {
      const auto ours = [&] {
        way.device->experts(way.stream, args);
        way.device->synchronize(way.stream);
      };
      compare(comm_, effort, "experts",
              fmt::format("{} experts x {} tokens, {} x {}, {}", model_.experts, tokens,
                          model_.hidden, model_.ffn, way.name),
              ours, reference, 1, facts_of(*way.device, "FLOP", flop));
    }
  }

 private:
  static constexpr std::size_t kMadeRows = 256;
  /// Of an expert's matrices; what its first row of tokens is multiplied by for the first number.
  struct FirstColumns {
    std::vector<float> gate, down;  // [hidden], [ffn]
  };
  struct Way {
    std::string name;
    std::unique_ptr<Device> device;  // all share the memory of the first one
    Stream stream;
  };
  /// Nothing where some rank does not have it, or it is wrong.
  void add_way(const std::string& name, const LayerLimits& limits) {
    CudaOptions options;
    options.expert_products = name;
    Way way{name, nullptr, {}};
    std::string why;
    try {
      way.device.reset(gembench_make_cuda_device(comm_, model_, options));
    } catch (const Error& error) {
      why = error.what();
    }
    if (comm_.min(way.device ? 1 : 0) != 0) {
      way.device->connect();
      way.device->prepare(limits);
      way.stream = way.device->make_stream();
      try {
        way.device->compare_ways(way.stream, slots_);
        ways_.push_back(std::move(way));
        return;
      } catch (const Error& error) {  // on all ranks
        why = error.what();
      }
    }
    if (comm_.rank() == 0) fmt::print(stderr, "left out: {} ({})\n", name, why);
  }

  /// Of the expert in plain_.
  [[nodiscard]] FirstColumns first_columns() const {
    FirstColumns columns;
    const std::size_t hidden = sz(model_.hidden), ffn = sz(model_.ffn);
    for (std::size_t h = 0; h < hidden; ++h) columns.gate.push_back(plain_.gate[h * ffn]);
    for (std::size_t f = 0; f < ffn; ++f) columns.down.push_back(plain_.down[f * hidden]);
    return columns;
  }

  /// The reference really multiplies: of both products of the first and of the last expert, the
  /// first number is compared with a sum on the host.
  void require_products(const char* call, int tokens) {
    const std::size_t hidden = sz(model_.hidden), ffn = sz(model_.ffn);
    for (const std::size_t e : {std::size_t{0}, sz(model_.experts - 1)}) {
      const std::size_t row = e * sz(tokens);
      std::vector<std::uint16_t> in(hidden), wide(2 * ffn), out(1);
      device_->download(in.data(), rows_, row * hidden * 2, hidden * 2);
      device_->download(wide.data(), bare_.wide(), row * 2 * ffn * 2, 2 * ffn * 2);
      device_->download(out.data(), bare_.out(), row * hidden * 2, 2);
      const FirstColumns& columns = e == 0 ? first_ : last_;
      require_product(call, wide[0], in, columns.gate);
      // The second product multiplies the first one's left half, without an activation.
      wide.resize(ffn);
      require_product(call, out[0], wide, columns.down);
    }
  }
  static void require_product(const char* call, std::uint16_t got,
                              const std::vector<std::uint16_t>& row,
                              const std::vector<float>& column) {
    double sum = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      sum += double{from_bf16(row[i])} * double{column[i]};
    }
    if (!(std::abs(from_bf16(got) - sum) <= 0.02 * std::max(1.0, std::abs(sum)))) {  // NaN too
      throw std::runtime_error(fmt::format("{} gave {} for {}", call, from_bf16(got), sum));
    }
  }

  const Comm& comm_;
  ModelShape model_;
  std::unique_ptr<Device> device_;
  std::vector<Way> ways_;
  BareProducts bare_;
  PlainExpert plain_;
  FirstColumns first_, last_;
  std::vector<Buffer> weights_;
  std::vector<const Buffer*> slots_;
  Buffer rows_, pairs_, results_, slot_tokens_;
};

ModelShape shape(int experts, int hidden, int ffn) {
  ModelShape model;
  model.name = "bench";
  model.layers = 1;
  model.experts = experts;
  model.topk = 1;
  model.hidden = hidden;
  model.ffn = ffn;
  return model;
}

int run(Effort effort) {
  constexpr int kPairs = 41;  // of many comparisons
  effort.pairs = std::min(effort.pairs, kPairs);
  const Comm comm = Comm::world();
  // A rank's share of gpt-oss-120b, qwen3-30b-a3b and mixtral-8x7b on 8 GPUs.
  const std::vector<ModelShape> models =
      effort.quick()
          ? std::vector{shape(2, 64, 48)}
          : std::vector{shape(16, 2880, 2880), shape(16, 2048, 768), shape(1, 4096, 14336)};
  const std::vector<int> tokens =
      effort.quick() ? std::vector{9} : std::vector{1, 4, 16, 64, 256, 1024, 4096};
  for (const ModelShape& model : models) {
    Experts experts(comm, model, tokens.back());
    for (const int each : tokens) experts.time(effort, each);
  }
  return 0;
}

}  // namespace
}  // namespace gembench::bench

int main(int argc, char** argv) {
  gembench::MpiSession session(argc, argv);
  return gembench::bench::run(gembench::bench::Effort::from(argc, argv));
}
