#include "placement/recordings/token_recording.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline recordings {
namespace {

/// Whether all k ids of the layer are 0, or all -1, in every token. With top-1, 0 may be a choice.
bool is_dense(const TokenRecording& recording, int layer) {
  const auto k = static_cast<std::size_t>(recording.topk);
  const auto each = recording.ids_per_token();
  for (auto at = static_cast<std::size_t>(layer) * k; at < recording.ids.size(); at += each) {
    const auto first = recording.ids[at];
    if (first != kNoExpert && (first != 0 || k < 2)) return false;
    for (std::size_t j = 1; j < k; ++j)
      if (recording.ids[at + j] != first) return false;
  }
  return true;
}

}  // namespace

TokenChecker::TokenChecker(int layers, int experts, int topk)
    : layers_(static_cast<std::size_t>(layers)),
      experts_(static_cast<std::size_t>(experts)),
      topk_(static_cast<std::size_t>(topk)),
      last_token_(checked_product({layers, experts}, "the recording")) {}

std::size_t TokenChecker::wrong(std::span<const std::uint16_t> ids) {
  const auto each = layers_ * topk_;
  for (std::size_t token = 0; token + each <= ids.size(); token += each) {
    ++token_;
    std::size_t at = token;
    for (auto* row = last_token_.data(); row != last_token_.data() + last_token_.size();
         row += experts_)
      for (std::size_t j = 0; j < topk_; ++j, ++at) {
        const std::size_t id = ids[at];
        if (id >= experts_ || row[id] == token_) return at;
        row[id] = token_;
      }
  }
  return npos;
}

void validate(const TokenRecording& recording) {
  const auto refuse = [&](const std::string& why) {
    return usage_error(fmt::format("{} {}", recording.source, why));
  };
  const auto& r = recording;
  if (r.layers < 1 || r.experts < 1 || r.topk < 1 || r.topk > r.experts ||
      r.experts > kMaxTokenExperts)
    throw refuse(fmt::format("cannot have {} layers, {} experts and top-k {}; state the model's",
                             r.layers, r.experts, r.topk));
  if (r.ids.empty() || r.ids.size() % r.ids_per_token() != 0)
    throw refuse(
        fmt::format("has {} expert ids, which are no whole tokens of {} layers with "
                    "top-k {}; check both",
                    r.ids.size(), r.layers, r.topk));
  for (const auto& request : r.requests) {
    const bool whole =
        request.prompt >= 0 && request.decode >= 0 && request.first <= r.tokens() &&
        static_cast<std::size_t>(request.prompt) + static_cast<std::size_t>(request.decode) <=
            r.tokens() - request.first;
    if (!whole || request.task < 0 ||
        static_cast<std::size_t>(request.task) >= std::max<std::size_t>(r.tasks.size(), 1))
      throw refuse(
          fmt::format("has a request at token {} of {} that is not whole; check the "
                      "requests",
                      request.first, r.tokens()));
  }
  const auto at = TokenChecker(r.layers, r.experts, r.topk).wrong(r.ids);
  if (at == TokenChecker::npos) return;
  const auto layer = at % r.ids_per_token() / static_cast<std::size_t>(r.topk);
  throw refuse(fmt::format(
      "names expert {} of {} in token {}, layer {}{}; check experts, layers "
      "and top-k",
      r.ids[at], r.experts, at / r.ids_per_token(), layer, r.ids[at] < r.experts ? " twice" : ""));
}

void drop_dense_layers(TokenRecording& recording) {
  std::vector<std::int32_t> kept;
  for (int layer = 0; layer < recording.layers; ++layer)
    if (!is_dense(recording, layer)) kept.push_back(layer);
  if (kept.empty() || static_cast<int>(kept.size()) == recording.layers) return;
  const auto k = static_cast<std::size_t>(recording.topk);
  const auto each = recording.ids_per_token();
  auto to = recording.ids.begin();
  for (std::size_t token = 0; token < recording.ids.size(); token += each)
    for (const auto layer : kept) {
      const auto from = recording.ids.begin() +
                        static_cast<std::ptrdiff_t>(token + static_cast<std::size_t>(layer) * k);
      to = std::copy(from, from + static_cast<std::ptrdiff_t>(k), to);
    }
  recording.ids.erase(to, recording.ids.end());
  recording.model_layers = recording.layers;
  recording.layers = static_cast<int>(kept.size());
  recording.layer_ids = std::move(kept);
}

}  // namespace gembench::inline recordings
