#include "placement/recordings/pass_tokens.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "placement/base/error.hpp"

namespace gembench::inline recordings {
namespace {

void add_token(TokenRecording& recording, std::span<const std::int64_t> row) {
  const auto topk = static_cast<std::size_t>(recording.topk);
  const auto found = static_cast<std::size_t>(
      std::count_if(row.begin(), row.end(), [](auto id) { return id >= 0; }));
  if (found != 0 && found != topk)
    throw usage_error(fmt::format("{} has a token with {} experts in a layer where others have {}",
                                  recording.source, found, topk));
  if (found == 0) recording.ids.insert(recording.ids.end(), topk, kNoExpert);
  for (const auto id : row)
    if (id >= 0)
      recording.ids.push_back(static_cast<std::uint16_t>(std::min<std::int64_t>(id, kNoExpert)));
}

}  // namespace

void add_pass(TokenRecording& recording, std::span<const std::int64_t> ids, std::size_t columns,
              std::size_t prompt) {
  const auto layers = static_cast<std::size_t>(recording.layers);
  const auto tokens = ids.size() / layers / columns;
  if (tokens == 0) return;
  if (recording.ids.size() + tokens * recording.ids_per_token() > kMaxHeldIds)
    throw usage_error(
        fmt::format("{} holds more than {} ids, too many for windows; import its steps",
                    recording.source, kMaxHeldIds));
  recording.requests.push_back(
      {recording.tokens(), static_cast<int>(prompt), static_cast<int>(tokens - prompt), 0});
  for (std::size_t token = 0; token < tokens; ++token)
    for (std::size_t layer = 0; layer < layers; ++layer)
      add_token(recording, ids.subspan((layer * tokens + token) * columns, columns));
}

}  // namespace gembench::inline recordings
