// The grouped expert phase of the CPU device against bare oneDNN matmuls of the same shapes.
#include <cmath>
#include <stdexcept>

#include "bare_experts.hpp"
#include "moe_layer/device.hpp"
#include "moe_layer/weights.hpp"
#include "pairs.hpp"

namespace gembench::bench {
namespace {

constexpr float kWeight = 0.5F;  // every pair's gate weight

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// Experts of one rank, as the device holds them and as plain oneDNN does. More bytes than a cache:
/// in a layer every expert's weights come from memory.
class Experts {
 public:
  Experts(const Comm& comm, const ModelShape& model, int max_tokens)
      : comm_(comm), model_(model), device_(make_cpu_device(comm, model, best_cpu_dtype())) {
    const std::size_t rows = sz(model.experts) * sz(max_tokens), hidden = sz(model.hidden);
    const std::size_t row_bytes = hidden * size_of(device_->dtype());
    rows_ = device_->allocate(rows * row_bytes);
    pairs_ = device_->allocate(rows * sizeof(Pair));
    sums_ = device_->allocate(rows * hidden * sizeof(float));
    results_ = device_->allocate(rows * row_bytes);
    slot_tokens_ = device_->allocate(sz(model.experts) * sizeof(std::int32_t));
    input_.resize(rows * hidden);
    fill_input(input_, 1, 0, 0, model.hidden);
    if (device_->dtype() == DType::bf16) {
      std::vector<std::uint16_t> halves;
      for (const float value : input_) halves.push_back(to_bf16(value));
      device_->upload(rows_, 0, halves.data(), rows * row_bytes);
    } else {
      device_->upload(rows_, 0, input_.data(), rows * row_bytes);
    }
    device_->prepare({0, rows, rows});
    PlainExpert plain;
    for (int e = 0; e < model.experts; ++e) {
      fill_expert(plain, 1, 0, e, model, device_->dtype());
      weights_.push_back(device_->allocate(device_->expert_bytes()));
      device_->load_expert(weights_.back(), plain);
      bare_.add_expert(plain);
    }
    for (const Buffer& expert : weights_) slots_.push_back(&expert);
  }

  /// One row a (token, expert) pair: nothing is shared between experts, as the reference's rows.
  void time(const Effort& effort, int tokens) {
    std::vector<Pair> pairs;
    for (std::int32_t row = 0; row < model_.experts * tokens; ++row) {
      pairs.push_back({row, row % model_.experts, kWeight});  // tokens of an expert lie apart
    }
    device_->upload(pairs_, 0, pairs.data(), pairs.size() * sizeof(Pair));
    const auto count = static_cast<std::int32_t>(pairs.size());
    ExpertArgs args;
    args.slots = slots_;
    args.rows_from = {&count, 1};
    args.pairs_from = {&count, 1};
    const std::vector<std::int32_t> each(sz(model_.experts), tokens);
    args.pairs_to = each;
    args.rows = &rows_;
    args.pairs = &pairs_;
    args.sums = &sums_;
    args.results = &results_;
    args.slot_tokens = &slot_tokens_;
    bare_.prepare(tokens, by_expert(tokens));
    const auto ours = [&] { device_->experts({}, args); };

    ours();
    bare_.run_post_ops();
    const double first = difference(tokens);
    bare_.run_wide();
    if (const double worst = std::max(first, difference(tokens)); !(worst < 0.02)) {
      throw std::runtime_error(fmt::format("both sides compute different things: {}", worst));
    }

    // Of two ways to write the reference the one that is faster here is the one to beat.
    double fused = 1e9, wide = 1e9;
    for (int round = 0; round < 3; ++round) {
      fused = std::min(fused, span_of(comm_, 1, [&] { bare_.run_post_ops(); }));
      wide = std::min(wide, span_of(comm_, 1, [&] { bare_.run_wide(); }));
    }
    const bool post_ops = fused <= wide;
    const auto reference = [&] { post_ops ? bare_.run_post_ops() : bare_.run_wide(); };
    compare(comm_, effort, "experts",
            fmt::format("{} of {}x{} {}, {} tokens each ({})", model_.experts, model_.hidden,
                        model_.ffn, name_of(device_->dtype()), tokens,
                        post_ops ? "post-ops" : "gate|up"),
            ours, reference);
  }

 private:
  /// The rows of every expert behind one another, as the reference takes them.
  std::vector<float> by_expert(int tokens) const {
    std::vector<float> rows;
    for (int e = 0; e < model_.experts; ++e) {
      for (int i = 0; i < tokens; ++i) {
        const auto from = input_.begin() + std::int64_t{i * model_.experts + e} * model_.hidden;
        rows.insert(rows.end(), from, from + model_.hidden);
      }
    }
    return rows;
  }

  /// Largest difference between the last outputs of both sides, where values are about 1.
  double difference(int tokens) const {
    const auto reference = bare_.output();
    double worst = 0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
      const std::size_t row = i / sz(model_.hidden), column = i % sz(model_.hidden);
      const std::size_t e = row / sz(tokens), token = row % sz(tokens);
      const std::size_t at = (token * sz(model_.experts) + e) * sz(model_.hidden) + column;
      const float ours = device_->dtype() == DType::bf16
                             ? from_bf16(results_.as<std::uint16_t>()[at])
                             : results_.as<float>()[at];
      worst = std::max(worst, std::abs(double{ours} - kWeight * double{reference[i]}));
    }
    return worst;
  }

  const Comm& comm_;
  ModelShape model_;
  std::unique_ptr<Device> device_;  // first: it puts OpenMP, and so the reference, on one thread
  BareExperts bare_{model_, device_->dtype()};
  std::vector<float> input_;
  std::vector<Buffer> weights_;
  std::vector<const Buffer*> slots_;
  Buffer rows_, pairs_, sums_, results_, slot_tokens_;
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

int run(const Effort& effort) {
  const Comm comm = Comm::world();
  const std::vector<ModelShape> models =
      effort.quick()
          ? std::vector{shape(2, 1024, 256)}
          : std::vector{shape(8, 1024, 2048), shape(12, 2048, 768), shape(3, 2880, 2880)};
  const std::vector<int> tokens =
      effort.quick() ? std::vector{8, 300} : std::vector{8, 16, 32, 64, 128, 256, 512};
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
