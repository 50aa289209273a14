// Nothing is used for the first time in a measured step.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "moe_layer/layers.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline moe_layer {
namespace {

/// Experts for tokens of a layer, [token][k]: every expert as often, and a token's on about as many
/// ranks as if they were drawn, or a rank would receive fewer rows than in a run, or more than fit.
std::vector<std::uint16_t> even_experts(const ModelShape& model, int ranks, int slots,
                                        TokenRange tokens) {
  const int k = model.topk;
  const double drawn = ranks * (1 - std::pow(1 - 1.0 / ranks, k));
  const int apart = std::max({1, static_cast<int>(drawn), (k + slots - 1) / slots});
  const int each = (k + apart - 1) / apart;  // of a token's on one rank, at most
  std::vector<std::uint16_t> ids;
  for (int token = tokens.first; token < tokens.first + tokens.count; ++token) {
    for (int j = 0; j < k; ++j) {
      const int rank = (token + j % apart) % ranks;
      const int slot = (token / ranks * each + j / apart) % slots;
      ids.push_back(static_cast<std::uint16_t>((rank * slots + slot) % model.experts));
    }
  }
  return ids;
}

}  // namespace

void MoeLayers::rehearse() {
  if (!device_.needs_rehearsal()) return;
  device_.compare_ways(stream_, experts_.front());
  // Those of the largest step may not fit: even loads differ by rounding from those of the run.
  const auto most = static_cast<int>(comm_.max(options_.max_tokens));
  int tokens = 1;
  for (; tokens < most && rehearse(tokens); tokens *= 2) continue;
  if (tokens >= most && most > 0) static_cast<void>(rehearse(most));
}

bool MoeLayers::rehearse(int tokens) {
  const TokenRange mine{comm_.rank() * tokens, std::min(tokens, options_.max_tokens)};
  load_step(0, mine, even_experts(model_, comm_.size(), static_cast<int>(slots_), mine));
  route(0);
  announce(0);
  forward();
  const auto& pairs_in = hops_.back().pairs_in;
  const auto pairs = std::accumulate(pairs_in.begin(), pairs_in.end(), std::int64_t{0});
  const bool fits =
      pairs <= options_.receive.pairs && hops_.back().rows_received() <= options_.receive.rows;
  const bool all_fit = comm_.min(fits ? 1 : 0) != 0;
  if (all_fit) {
    send();
    experts(0);
    combine(0);
  }
  device_.synchronize(stream_);
  if (all_fit && graph_ != nullptr) rehearse_graph(mine);
  return all_fit;
}

void MoeLayers::rehearse_graph(TokenRange tokens) {
  const std::vector<std::uint16_t> one = graph_->ids();
  std::vector<std::uint16_t> all;
  for (int layer = 0; layer < model_.layers; ++layer) all.insert(all.end(), one.begin(), one.end());
  load_step(0, tokens, all);
  std::vector<LayerReading> readings(sz(model_.layers));
  static_cast<void>(run_graph(readings));
  clear_rows_to();
}

}  // namespace gembench::inline moe_layer
