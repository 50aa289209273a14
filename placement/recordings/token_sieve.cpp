#include "placement/recordings/token_sieve.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "placement/base/error.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::uint16_t kNoExpertOfOneByte = 0xff;

}  // namespace

TokenSieve::TokenSieve(int layers, int experts, int topk)
    : layers_(static_cast<std::size_t>(layers)),
      experts_(static_cast<std::size_t>(experts)),
      topk_(static_cast<std::size_t>(topk)) {}

bool TokenSieve::routed(const std::uint16_t* token) const {
  for (std::size_t layer = 0; layer < layers_; ++layer, token += topk_) {
    const bool none =
        token[0] == kNoExpert || (token[0] == kNoExpertOfOneByte && experts_ <= kNoExpertOfOneByte);
    if (none && std::all_of(token, token + topk_, [&](auto id) { return id == token[0]; }))
      return false;
  }
  return true;
}

void TokenSieve::learn_shared(const std::uint16_t* token) {
  shared_ =
      static_cast<int>(std::count_if(token, token + topk_, [&](auto id) { return is_shared(id); }));
  if (shared_ == static_cast<int>(topk_)) shared_ = 0;  // then these are wrong ids
}

void TokenSieve::sift(std::vector<std::uint16_t>& ids) {
  const auto each = layers_ * topk_;
  auto to = ids.begin();
  for (std::size_t at = 0; at + each <= ids.size(); at += each, ++tokens_) {
    const auto* token = ids.data() + at;
    if (!routed(token)) {
      removed_.push_back(tokens_);
      continue;
    }
    if (shared_ < 0) learn_shared(token);
    for (std::size_t layer = 0; layer < layers_; ++layer)
      for (std::size_t j = 0, found = 0; j < topk_; ++j) {
        const auto id = token[layer * topk_ + j];
        const bool drop = shared_ > 0 && is_shared(id);
        found += drop ? 1 : 0;
        if (shared_ > 0 && j + 1 == topk_ && found != static_cast<std::size_t>(shared_))
          throw usage_error(
              fmt::format("token {}, layer {} has {} ids from {} on where others have {}; check "
                          "experts, layers and top-k",
                          tokens_, layer, found, experts_, shared_));
        if (drop && id >= experts_ + static_cast<std::size_t>(shared_))
          throw usage_error(
              fmt::format("it names expert {} of {} in token {}, layer {}; check "
                          "experts, layers and top-k",
                          id, experts_, tokens_, layer));
        if (drop) {
          least_shared_ = std::min<int>(least_shared_, id);
          most_shared_ = std::max<int>(most_shared_, id);
        } else {
          *to++ = id;
        }
      }
  }
  ids.erase(to, ids.end());
}

std::vector<std::string> TokenSieve::notes() const {
  std::vector<std::string> notes;
  if (!removed_.empty())
    notes.push_back(
        fmt::format("left out {} of {} tokens, which have no route (-1 for every choice)",
                    removed_.size(), tokens_));
  if (shared_ > 0)
    notes.push_back(
        fmt::format("left out {} of {} choices of every token: ids {} to {} are shared experts "
                    "fused into the layer, of {} experts; top-k is {}",
                    shared_, topk_, least_shared_, most_shared_, experts_, topk()));
  return notes;
}

void sift(TokenRecording& recording) {
  TokenSieve sieve(recording.layers, recording.experts, recording.topk);
  std::size_t token = 0;
  while (token < recording.tokens() && !sieve.routed(recording.token(token).data())) ++token;
  if (token == recording.tokens()) return;
  try {
    sieve.sift(recording.ids);
  } catch (const Error& error) {
    throw usage_error(fmt::format("{}: {}", recording.source, error.what()));
  }
  recording.topk = sieve.topk();
  move_requests(recording.requests, sieve.removed());
  const auto notes = sieve.notes();
  recording.notes.insert(recording.notes.end(), notes.begin(), notes.end());
}

void move_requests(std::vector<RecordedRequest>& requests,
                   const std::vector<std::size_t>& removed) {
  if (removed.empty()) return;
  const auto before = [&](std::size_t token) {
    return static_cast<std::size_t>(std::lower_bound(removed.begin(), removed.end(), token) -
                                    removed.begin());
  };
  for (auto& request : requests) {
    const auto prompt_end = request.first + static_cast<std::size_t>(request.prompt);
    const auto end = prompt_end + static_cast<std::size_t>(request.decode);
    const auto first = before(request.first), middle = before(prompt_end), last = before(end);
    request.first -= first;
    request.prompt -= static_cast<int>(middle - first);
    request.decode -= static_cast<int>(last - middle);
  }
}

}  // namespace gembench::inline recordings
