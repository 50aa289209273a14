#include "moe_layer/cpu_device.hpp"

#include <cmath>
#include <limits>

#include "placement/placement.hpp"

namespace gembench {
namespace {

constexpr float kRmsEpsilon = 1e-6F;

std::size_t sz(int value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

void CpuDevice::choose_experts(const float* logits, std::uint16_t* ids) const {
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

void CpuDevice::softmax(const float* logits, const std::uint16_t* ids, float* weights) const {
  float top = -std::numeric_limits<float>::infinity();
  for (int j = 0; j < model_.topk; ++j) top = std::max(top, logits[ids[j]]);
  float sum = 0;
  for (int j = 0; j < model_.topk; ++j) sum += weights[j] = std::exp(logits[ids[j]] - top);
  for (int j = 0; j < model_.topk; ++j) weights[j] /= sum;
}

void CpuDevice::route(Stream, const RouteArgs& args) {
  for (int t = 0; t < args.tokens; ++t) {
    const float* x = args.hidden_state->as<float>() + sz(t) * hidden_;
    float* normed = args.normed->as<float>() + sz(t) * hidden_;
    float squares = 0;
    for (std::size_t i = 0; i < hidden_; ++i) squares += x[i] * x[i];
    const float scale = 1 / std::sqrt(squares / static_cast<float>(hidden_) + kRmsEpsilon);
    for (std::size_t i = 0; i < hidden_; ++i) normed[i] = x[i] * scale;
  }
  to_payload(args.normed->as<float>(), args.payload->as<char>(), sz(args.tokens) * hidden_);
  for (int t = 0; t < args.tokens; t += CpuGemm::kChunk) {
    router_.run_chunk(std::min(CpuGemm::kChunk, args.tokens - t),
                      args.normed->as<float>() + sz(t) * hidden_, args.router->as<char>(),
                      args.logits->as<float>() + sz(t) * sz(model_.experts));
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

void CpuDevice::pack(Stream, const PackArgs& args) {
  const std::size_t k = sz(model_.topk);
  const auto* ids = args.ids->as<std::uint16_t>();
  const auto* weights = args.weights->as<float>();
  const auto* homes = args.homes->as<Home>();
  const std::size_t ranks = sz(comm_.size()), width = 2 + sz(args.slots);
  const auto count = [&](std::int32_t rank, std::size_t which) -> std::int32_t& {
    return args.counts[sz(rank) * width + which];
  };

  // First count rows and pairs for every destination, then place them: two passes, one order.
  std::fill(args.counts.begin(), args.counts.end(), 0);
  const auto for_each_pair = [&](auto&& visit) {
    for (std::size_t t = 0; t < sz(args.tokens); ++t) {
      std::fill(seen_.begin(), seen_.end(), -1);
      for (std::size_t j = 0; j < k; ++j) {
        const Home home = homes[ids[t * k + j]];
        visit(t, home, weights[t * k + j], seen_[sz(home.rank)]);
      }
    }
  };
  for_each_pair([&](std::size_t, Home home, float, std::int32_t& row) {
    if (row < 0) row = count(home.rank, 0)++;
    ++count(home.rank, 1);
    ++count(home.rank, 2 + sz(home.slot));
  });
  std::int32_t rows = 0, pairs = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    row_at_[r] = first_row_[r] = rows;
    pair_at_[r] = pairs;
    rows += args.counts[r * width];
    pairs += args.counts[r * width + 1];
  }
  for_each_pair([&](std::size_t t, Home home, float weight, std::int32_t& row) {
    if (row < 0) {
      const auto at = sz(row_at_[sz(home.rank)]++);
      row = static_cast<std::int32_t>(at) - first_row_[sz(home.rank)];
      std::memcpy(args.send_rows->as<char>() + at * row_bytes_,
                  args.payload->as<char>() + t * row_bytes_, row_bytes_);
      args.row_token->as<std::int32_t>()[at] = static_cast<std::int32_t>(t);
    }
    const auto at = sz(pair_at_[sz(home.rank)]++);
    args.send_pairs->as<Pair>()[at] = {row, home.slot, weight};
  });
}

}  // namespace gembench
