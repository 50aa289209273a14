#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "placement/encodings/byte_stream.hpp"
#include "placement/encodings/npy_stream.hpp"
#include "placement/recordings/recording.hpp"
#include "placement/recordings/token_recording.hpp"
#include "placement/recordings/token_sieve.hpp"

/// Plain expert ids [token][layer][k]: raw, or an array of that shape in a .npy or .npz.
namespace gembench::inline recordings {

/// Reads ids of a file of any size sequentially.
class IdsFile {
 public:
  /// `input` is one file, and states layers, experts and top-k; an array [token][k] is of one
  /// layer, which need not be stated. Usage error for an impossible shape, or an array of another.
  IdsFile(const RecordingInput& input);

  /// The next `most` tokens, fewer only at the end, [token][layer][k], less those that the sieve
  /// takes out; valid until the next call. Usage error naming the token for ids that are out of
  /// range or repeated within a layer, and for a file that does not end with a whole token.
  [[nodiscard]] std::span<const std::uint16_t> read(std::size_t most);
  [[nodiscard]] std::size_t tokens() const { return tokens_; }  ///< read so far
  [[nodiscard]] int layers() const { return input_.layers; }
  [[nodiscard]] bool at_end() const { return at_end_; }
  [[nodiscard]] const TokenSieve& sieve() const { return sieve_; }

 private:
  struct Opened {
    ByteStream in;
    std::optional<NpyHeader> array;  // none: raw
  };
  static Opened open(const RecordingInput& input);
  IdsFile(const RecordingInput& input, Opened opened);

  ByteStream in_;
  RecordingInput input_;
  TokenSieve sieve_;
  std::optional<TokenChecker> checker_;  // of what the sieve leaves
  bool at_end_ = false;
  std::uint64_t declared_ = 0;  // tokens of a .npy
  bool npy_ = false;
  int width_ = 1;  // bytes of an id
  std::size_t tokens_ = 0;
  std::vector<char> bytes_;
  std::vector<std::uint16_t> ids_;
};

/// Steps of `window` consecutive tokens, in bounded memory; a shorter last one is left out. Returns
/// what the user must know.
std::vector<std::string> window_ids(const RecordingInput& input, int window, bool keep_ids,
                                    const KeepSteps& keep);

/// The whole recording, divided into requests if the input has a table of them, else as one
/// request.
[[nodiscard]] TokenRecording read_ids(const RecordingInput& input);

/// Whether an array may be [token][layer][k].
[[nodiscard]] bool holds_ids(const NpyHeader& array);

/// Elements of `width` bytes (1, 2, 4, 8; little-endian) as ids; negative ones and those too large
/// become kNoExpert.
void widen_ids(std::span<const char> elements, int width, std::vector<std::uint16_t>& ids);

}  // namespace gembench::inline recordings
