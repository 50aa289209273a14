#include "moe_layer/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"

namespace gembench::inline moe_layer {
namespace {

// Errors relative to a token's largest reference value. f32 sums over a few thousand terms in
// another order differ by about 1e-6; bf16 rounds inputs, the inner product and the returned sums
// to 8 bits each.
constexpr double kTolerance32 = 1e-4;
constexpr double kTolerance16 = 3e-2;
constexpr double kTieMargin = 1e-4;  // of logits of size about one

float rounded(double value, DType dtype) {
  const auto single = static_cast<float>(value);
  return dtype == DType::f32 ? single : from_bf16(to_bf16(single));
}

/// out[j] = sum_i x[i] * w[i][j], accumulated in double.
std::vector<double> product(std::span<const float> x, std::span<const float> w, std::size_t n) {
  std::vector<double> out(n, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      out[j] += static_cast<double>(x[i]) * static_cast<double>(w[i * n + j]);
    }
  }
  return out;
}

/// A layer's output for one token, computed plainly.
class Reference {
 public:
  Reference(const ModelShape& model, DType dtype, std::uint64_t seed)
      : model_(model), dtype_(dtype), seed_(seed) {}

  struct Routed {
    std::vector<float> normed;
    std::vector<double> logits;
  };
  Routed route(std::span<const float> x, int layer) {
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * static_cast<double>(value);
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-6);
    Routed routed;
    for (const float value : x) routed.normed.push_back(static_cast<float>(value * scale));
    router_.resize(x.size() * sz(model_.experts));
    fill_gate(router_, seed_, layer, model_);
    routed.logits = product(routed.normed, router_, sz(model_.experts));
    return routed;
  }

  /// What the layer adds to the residual stream.
  std::vector<double> added(const Routed& routed, std::span<const std::uint16_t> ids,
                            int weight_layer) {
    double top = -1e300, sum = 0;
    for (const auto id : ids) top = std::max(top, routed.logits[id]);
    for (const auto id : ids) sum += std::exp(routed.logits[id] - top);
    std::vector<double> total(sz(model_.hidden), 0.0);
    for (const auto id : ids) {
      add_expert(total, routed.normed, weight_layer, id, std::exp(routed.logits[id] - top) / sum);
    }
    for (int i = 0; i < model_.shared; ++i) {
      add_expert(total, routed.normed, weight_layer, model_.experts + i, 1);
    }
    return total;
  }

 private:
  void add_expert(std::vector<double>& total, std::span<const float> normed, int weight_layer,
                  int expert, double weight) {
    fill_expert(plain_, seed_, weight_layer, expert, model_, dtype_);
    std::vector<float> x;
    for (const float value : normed) x.push_back(rounded(value, dtype_));
    const auto gate = product(x, plain_.gate, sz(model_.ffn));
    const auto up = product(x, plain_.up, sz(model_.ffn));
    std::vector<float> inner;
    for (std::size_t i = 0; i < gate.size(); ++i) {
      inner.push_back(rounded(gate[i] / (1 + std::exp(-gate[i])) * up[i], dtype_));
    }
    const auto out = product(inner, plain_.down, sz(model_.hidden));
    for (std::size_t i = 0; i < out.size(); ++i) total[i] += weight * out[i];
  }

  ModelShape model_;
  DType dtype_;
  std::uint64_t seed_;
  std::vector<float> router_;
  PlainExpert plain_;
};

/// Empty when the gate's choice is a top-k of the reference logits up to a margin.
std::string judge_gate(std::span<const std::uint16_t> chosen, const std::vector<double>& logits) {
  std::vector<double> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const double least = sorted[chosen.size() - 1] - kTieMargin;
  for (const auto id : chosen) {
    if (logits[id] < least) {
      return fmt::format("the router chose expert {} whose logit {:.6f} is not among the top {}",
                         id, logits[id], chosen.size());
    }
  }
  return {};
}

/// The first failure in rank order, of all ranks, unless there was one.
void agree(const Comm& comm, const std::string& mine, CheckOutcome& outcome) {
  for (const auto& failure : comm.gather(mine)) {
    if (outcome.message.empty()) outcome.message = failure;
  }
  comm.broadcast(outcome.message);
  outcome.passed = outcome.message.empty();
}

}  // namespace

CheckOutcome check_step(const Comm& comm, const Device& device, const ModelShape& model,
                        const ExpertStore& store, MoeLayers& layers, const Placement& placement,
                        std::uint64_t seed) {
  CheckOutcome outcome;
  outcome.tolerance = device.dtype() == DType::f32 ? kTolerance32 : kTolerance16;
  Reference reference(model, device.dtype(), seed);
  const std::size_t k = sz(model.topk);
  std::string mine;  // this rank's first failure
  const auto fail = [&](const std::string& text) {
    if (mine.empty()) mine = text;
  };
  const TokenRange range = layers.token_range();

  for (int layer = 0; layer < model.layers; ++layer) {
    // One token a layer and rank, another one in every layer.
    const int token =
        range.count == 0
            ? -1
            : static_cast<int>(fold(fold(seed, sz(layer)), sz(comm.rank())) % sz(range.count));
    const auto before = token < 0 ? std::vector<float>{} : layers.hidden_state(token);
    static_cast<void>(layers.run_layer(layer));

    const auto ids = layers.last_ids();
    std::vector<std::int64_t> balance(sz(model.experts), 0);  // chosen minus computed
    for (const auto id : ids) ++balance[id];
    const auto computed = layers.last_slot_tokens();
    const auto here = placement.on_rank(layer, comm.rank());
    for (std::size_t slot = 0; slot < here.size(); ++slot) {
      if (here[slot] >= 0) balance[sz(here[slot])] -= computed[slot];
    }
    comm.sum_in_place(balance);
    for (int expert = 0; expert < model.experts; ++expert) {
      if (balance[sz(expert)] == 0) continue;
      fail(fmt::format("layer {}: {} tokens chose expert {} and were not computed by it", layer,
                       balance[sz(expert)], expert));
    }

    if (token < 0) continue;
    const auto routed = reference.route(before, layer);
    const auto chosen = layers.last_gate_ids();
    const std::string gate = judge_gate(std::span(chosen).subspan(sz(token) * k, k), routed.logits);
    if (!gate.empty()) fail(fmt::format("layer {} token {}: {}", layer, range.first + token, gate));
    const auto expected = reference.added(routed, std::span(ids).subspan(sz(token) * k, k),
                                          store.weight_layer(layer));
    const auto after = layers.hidden_state(token);
    double worst = 0, largest = 1e-30;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double added = static_cast<double>(after[i]) - static_cast<double>(before[i]);
      largest = std::max(largest, std::fabs(expected[i]));
      // Written so that a NaN output counts as infinitely wrong.
      const double error = std::fabs(added - expected[i]);
      worst = std::isfinite(error) ? std::max(worst, error) : HUGE_VAL;
    }
    const double error = worst / largest;
    if (!(error <= outcome.tolerance)) {
      fail(fmt::format("layer {} token {}: error {:.3g} of the largest value, allowed {:.3g}",
                       layer, range.first + token, error, outcome.tolerance));
    }
    outcome.worst_error = std::max(outcome.worst_error, error);
    ++outcome.tokens;
  }

  outcome.tokens = comm.sum(outcome.tokens);
  outcome.worst_error = comm.max(outcome.worst_error);
  agree(comm, mine, outcome);
  return outcome;
}

void check_graph(const Comm& comm, std::span<const float> graph, std::span<const float> phases,
                 CheckOutcome& outcome) {
  std::string mine;
  if (graph.size() != phases.size() ||
      std::memcmp(graph.data(), phases.data(), phases.size_bytes()) != 0) {
    mine =
        fmt::format("rank {}: the step as a graph has other results than its phases", comm.rank());
  }
  agree(comm, mine, outcome);
}

}  // namespace gembench::inline moe_layer
