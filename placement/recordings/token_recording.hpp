#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

/// Recordings that list the experts of every token, request by request; batching.hpp groups them
/// into steps.
namespace gembench::inline recordings {

/// One request: the tokens of its prompt, as far as they were recorded, then those it generated.
struct RecordedRequest {
  std::size_t first = 0;  ///< token of the recording
  int prompt = 0;         ///< recorded tokens of its prompt
  int decode = 0;         ///< recorded tokens that it generated, a forward pass each
  int task = 0;           ///< index of TokenRecording::tasks
  [[nodiscard]] int tokens() const { return prompt + decode; }
};

/// A plain value, held in memory.
struct TokenRecording {
  int layers = 0;
  int experts = 0;
  int topk = 0;
  /// As in Trace.
  std::vector<std::int32_t> layer_ids;
  int model_layers = 0;
  std::vector<std::uint16_t> ids;         ///< [token][layer][k], distinct within a layer
  std::vector<RecordedRequest> requests;  ///< in the order recorded
  /// False where `requests` are other runs of tokens, such as those of a rank in a pass.
  bool requests_known = true;
  bool phases_known = false;       ///< whether prompt and decode say which is which
  std::vector<std::string> tasks;  ///< labels of workloads; empty when unknown
  std::string source;              ///< for people
  std::vector<std::string> notes;  ///< what the user must know, such as what was left out

  [[nodiscard]] std::size_t ids_per_token() const {
    return static_cast<std::size_t>(layers) * static_cast<std::size_t>(topk);
  }
  [[nodiscard]] std::size_t tokens() const { return ids.size() / ids_per_token(); }
  [[nodiscard]] std::span<const std::uint16_t> token(std::size_t index) const {
    return {ids.data() + index * ids_per_token(), ids_per_token()};
  }
};

/// Ids are 16 bits wide, and the largest stands for "no expert".
inline constexpr int kMaxTokenExperts = 65535;
inline constexpr std::uint16_t kNoExpert = 0xffff;

/// Most ids that are held (1 GiB); longer recordings must be cut, or streamed as windows.
inline constexpr std::size_t kMaxHeldIds = std::size_t{1} << 29;

/// Finds the first token whose ids are out of range or repeated within a layer.
class TokenChecker {
 public:
  TokenChecker(int layers, int experts, int topk);
  /// `ids` holds whole tokens [layer][k]. The index of the first wrong id, or npos.
  [[nodiscard]] std::size_t wrong(std::span<const std::uint16_t> ids);
  static constexpr auto npos = std::numeric_limits<std::size_t>::max();

 private:
  std::size_t layers_, experts_, topk_;
  std::vector<std::uint64_t> last_token_;  // [layer][expert], numbered from 1
  std::uint64_t token_ = 0;
};

/// Usage error naming the source and the token of a wrong id, for requests that overlap the end,
/// and for shapes that make no sense.
void validate(const TokenRecording& recording);

/// Removes the layers where every token has expert 0, or -1, k times: engines list dense layers
/// this way. The other layers keep their index in layer_ids. With top-1 a layer of expert 0 may be
/// a router's choice and is kept.
void drop_dense_layers(TokenRecording& recording);

}  // namespace gembench::inline recordings
