#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "placement/recordings/token_recording.hpp"

namespace gembench::inline recordings {

/// Takes out of recorded ids what no router has chosen:
/// tokens without a route, which have only -1 (all bits set) in some layer, since engines do not
/// record every token; and shared experts that an engine has fused into the layer, which every
/// token has in every layer under ids from the number of the model's experts on.
class TokenSieve {
 public:
  TokenSieve(int layers, int experts, int topk);

  /// Sifts whole tokens [token][layer][k], which follow those before. Usage error, without a file's
  /// name, for a token that lacks a shared expert that others have.
  void sift(std::vector<std::uint16_t>& ids);
  /// Whether the token [layer][k] has a route in every layer.
  [[nodiscard]] bool routed(const std::uint16_t* token) const;
  /// Choices of a token without the shared experts.
  [[nodiscard]] int topk() const { return static_cast<int>(topk_) - std::max(0, shared_); }
  /// Tokens that were left out, ascending, as they were numbered before.
  [[nodiscard]] const std::vector<std::size_t>& removed() const { return removed_; }
  [[nodiscard]] std::vector<std::string> notes() const;

 private:
  [[nodiscard]] bool is_shared(std::uint16_t id) const { return id >= experts_ && id != kNoExpert; }
  void learn_shared(const std::uint16_t* token);

  std::size_t layers_, experts_, topk_;
  std::size_t tokens_ = 0;
  int shared_ = -1;  ///< of a token in each layer; -1: no token was seen yet
  int least_shared_ = kNoExpert, most_shared_ = 0;
  std::vector<std::size_t> removed_;
};

/// Sifts the whole recording, and moves its requests. Nothing is left out if no token would be
/// left.
void sift(TokenRecording& recording);

/// Requests of tokens of which these were left out.
void move_requests(std::vector<RecordedRequest>& requests, const std::vector<std::size_t>& removed);

}  // namespace gembench::inline recordings
