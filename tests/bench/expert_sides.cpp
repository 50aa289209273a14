#include "tests/bench/expert_sides.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"

namespace gembench::bench {
namespace {

constexpr float kWeight = 0.5F;  // every pair's gate weight

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

}  // namespace

ExpertSides::ExpertSides(const Comm& comm, int experts, int hidden, int ffn, int max_tokens)
    : model_(shape(experts, hidden, ffn)),
      device_(make_cpu_device(comm, model_, best_cpu_dtype())),
      bare_(model_, device_->dtype()) {
  const std::size_t rows = sz(experts) * sz(max_tokens), width = sz(hidden);
  const std::size_t row_bytes = width * size_of(dtype());
  rows_ = device_->allocate(rows * row_bytes);
  pairs_ = device_->allocate(rows * sizeof(Pair));
  sums_ = device_->allocate(rows * width * sizeof(float));
  results_ = device_->allocate(rows * row_bytes);
  slot_tokens_ = device_->allocate(sz(experts) * sizeof(std::int32_t));
  input_.resize(rows * width);
  fill_input(input_, 1, 0, 0, hidden);
  if (dtype() == DType::bf16) {
    std::vector<std::uint16_t> halves;
    for (const float value : input_) halves.push_back(to_bf16(value));
    device_->upload(rows_, 0, halves.data(), rows * row_bytes);
  } else {
    device_->upload(rows_, 0, input_.data(), rows * row_bytes);
  }
  device_->prepare({0, rows, rows});
  PlainExpert plain;
  for (int e = 0; e < experts; ++e) {
    fill_expert(plain, 1, 0, e, model_, dtype());
    weights_.push_back(device_->allocate(device_->expert_bytes()));
    device_->load_expert(weights_.back(), plain);
    bare_.add_expert(plain);
  }
  for (const Buffer& expert : weights_) slots_.push_back(&expert);
}

void ExpertSides::prepare(int tokens) {
  tokens_ = tokens;
  std::vector<Pair> pairs;
  for (std::int32_t row = 0; row < model_.experts * tokens; ++row) {
    pairs.push_back({row, row % model_.experts, kWeight});  // tokens of an expert lie apart
  }
  device_->upload(pairs_, 0, pairs.data(), pairs.size() * sizeof(Pair));
  count_ = static_cast<std::int32_t>(pairs.size());
  each_.assign(sz(model_.experts), tokens);
  args_.slots = slots_;
  args_.rows_from = {&count_, 1};
  args_.pairs_from = {&count_, 1};
  args_.pairs_to = each_;
  args_.rows = &rows_;
  args_.pairs = &pairs_;
  args_.sums = &sums_;
  args_.results = &results_;
  args_.slot_tokens = &slot_tokens_;
  bare_.prepare(tokens, by_expert());
}

void ExpertSides::check() {
  ours();
  bare_.run_post_ops();
  const double first = difference();
  bare_.run_wide();
  if (const double worst = std::max(first, difference()); !(worst < 0.02)) {
    throw std::runtime_error(fmt::format("both sides compute different things: {}", worst));
  }
}

std::vector<float> ExpertSides::by_expert() const {
  std::vector<float> rows;
  for (int e = 0; e < model_.experts; ++e) {
    for (int i = 0; i < tokens_; ++i) {
      const auto from = input_.begin() + std::int64_t{i * model_.experts + e} * model_.hidden;
      rows.insert(rows.end(), from, from + model_.hidden);
    }
  }
  return rows;
}

double ExpertSides::difference() const {
  const auto reference = bare_.output();
  double worst = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const std::size_t row = i / sz(model_.hidden), column = i % sz(model_.hidden);
    const std::size_t e = row / sz(tokens_), token = row % sz(tokens_);
    const std::size_t at = (token * sz(model_.experts) + e) * sz(model_.hidden) + column;
    const float ours = dtype() == DType::bf16 ? from_bf16(results_.as<std::uint16_t>()[at])
                                              : results_.as<float>()[at];
    worst = std::max(worst, std::abs(double{ours} - kWeight * double{reference[i]}));
  }
  return worst;
}

}  // namespace gembench::bench
