#include "moe_layer/cpu/routing.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "moe_layer/cpu/payload.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {
namespace {

constexpr float kRmsEpsilon = 1e-6F;

}  // namespace

CpuRouting::CpuRouting(const ModelShape& model, DType dtype)
    : model_(model),
      dtype_(dtype),
      hidden_(sz(model.hidden)),
      router_(model.hidden, model.experts, DType::f32, DType::f32, Epilogue::none),
      normed_(CpuGemm::kChunk * hidden_),
      logits_(CpuGemm::kChunk * sz(model.experts)) {}

void CpuRouting::choose_experts(const float* logits, std::uint16_t* ids) const {
  // Insertion into a sorted list of at most k: almost every expert fails the first comparison.
  // Ties go to the lower expert id.
  int chosen = 0;
  for (int e = 0; e < model_.experts; ++e) {
    if (chosen == model_.topk && logits[e] <= logits[ids[chosen - 1]]) continue;
    int at = chosen < model_.topk ? chosen++ : chosen - 1;
    for (; at > 0 && logits[e] > logits[ids[at - 1]]; --at) ids[at] = ids[at - 1];
    ids[at] = static_cast<std::uint16_t>(e);
  }
}

void CpuRouting::softmax(const float* logits, const std::uint16_t* ids, float* weights) const {
  float top = -std::numeric_limits<float>::infinity();
  for (int j = 0; j < model_.topk; ++j) top = std::max(top, logits[ids[j]]);
  float sum = 0;
  for (int j = 0; j < model_.topk; ++j) sum += weights[j] = std::exp(logits[ids[j]] - top);
  for (int j = 0; j < model_.topk; ++j) weights[j] /= sum;
}

void CpuRouting::route(const RouteArgs& args) {
  for (int t = 0; t < args.tokens; ++t) {
    const float* x = args.hidden_state->as<float>() + sz(t) * hidden_;
    float* normed = args.normed->as<float>() + sz(t) * hidden_;
    float squares = 0;
    for (std::size_t i = 0; i < hidden_; ++i) squares += x[i] * x[i];
    const float scale = 1 / std::sqrt(squares / static_cast<float>(hidden_) + kRmsEpsilon);
    for (std::size_t i = 0; i < hidden_; ++i) normed[i] = x[i] * scale;
  }
  to_payload(dtype_, args.normed->as<float>(), args.payload->as<char>(), sz(args.tokens) * hidden_);
  for (int t = 0; t < args.tokens; t += CpuGemm::kChunk) {
    const int m = std::min(CpuGemm::kChunk, args.tokens - t);
    const float* normed = args.normed->as<float>() + sz(t) * hidden_;
    float* logits = args.logits->as<float>() + sz(t) * sz(model_.experts);
    if (CpuGemm::padded(m) == m) {
      router_.run_chunk(m, normed, args.router->as<char>(), logits);
      continue;
    }
    // Both arrays end with the last token.
    std::copy_n(normed, sz(m) * hidden_, normed_.begin());
    router_.run_chunk(m, normed_.data(), args.router->as<char>(), logits_.data());
    std::copy_n(logits_.begin(), sz(m) * sz(model_.experts), logits);
  }
  const std::size_t k = sz(model_.topk);
  for (std::size_t t = 0; t < sz(args.tokens); ++t) {
    const float* logits = args.logits->as<float>() + t * sz(model_.experts);
    choose_experts(logits, args.gate_ids->as<std::uint16_t>() + t * k);
  }
  const void* used =
      args.replay ? args.replay->as<char>() + args.replay_offset : args.gate_ids->as<char>();
  std::memcpy(args.ids->as<char>(), used, sz(args.tokens) * k * sizeof(std::uint16_t));
  for (std::size_t t = 0; t < sz(args.tokens); ++t) {
    softmax(args.logits->as<float>() + t * sz(model_.experts),
            args.ids->as<std::uint16_t>() + t * k, args.weights->as<float>() + t * k);
  }
}

}  // namespace gembench::inline cpu
