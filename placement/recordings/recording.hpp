#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "placement/loads/trace.hpp"

/// Recordings of expert loads that serving engines write, read as traces.
namespace gembench::inline recordings {

/// What is to be read, and what the user says of it. Many formats do not say all they should: what
/// is 0 was not stated; what is stated and disagrees with the file is refused.
struct RecordingInput {
  std::vector<std::filesystem::path> paths;  ///< files, or one folder
  int layers = 0;                            ///< MoE layers
  int experts = 0;
  int topk = 0;
  // Of raw ids, which say nothing.
  int id_bytes = 1;                     ///< of an id: 1 or 2
  std::filesystem::path requests = {};  ///< table of requests (requests_file.hpp); empty: none
};

/// Gets the steps in order, a batch at a time, as they were recorded: no count is negative, but
/// layers of a step may sum differently (equalise_layers() fixes that) and topk is 0 where neither
/// file nor user says it. All have the same layers, experts, top-k, sources, layer ids and labels.
using KeepSteps = std::function<void(Trace steps)>;

/// Bytes of counts and ids in a batch, about: what memory holds of a recording of any size.
inline constexpr std::size_t kBatchBytes = std::size_t{16} << 20;

struct TokenRecording;

/// A format of recordings. Their entries are steps (forward passes) already, or tokens, of which
/// batching.hpp makes steps: either `read` or `read_tokens` is there.
struct RecordingFormat {
  std::string_view name;  ///< as on the command line
  std::string_view what;  ///< who writes it, for `list` and for people
  /// Whether the input looks like it: names, first bytes. Never throws for foreign content.
  bool (*recognise)(const RecordingInput& input);
  /// Usage error naming the file, and the step and layer where there is one. Returns what was left
  /// out, a sentence each.
  std::vector<std::string> (*read)(const RecordingInput& input, const KeepSteps& keep);
  TokenRecording (*read_tokens)(const RecordingInput& input) = nullptr;
  /// The proposal that it follows where no release of the engine writes it; it may change. Else
  /// empty.
  std::string_view experimental = {};
};

/// "a.pt", or "a.pt and 3 more".
[[nodiscard]] std::string name_of(const RecordingInput& input);
/// The only path of a format that is one file. Usage error otherwise.
[[nodiscard]] const std::filesystem::path& only_path(const RecordingInput& input);
/// At most `count` unpacked bytes from the front; none where that fails. For recognise().
[[nodiscard]] std::string first_bytes(const std::filesystem::path& path, std::size_t count);

}  // namespace gembench::inline recordings
