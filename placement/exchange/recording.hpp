#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "placement/trace.hpp"

/// Recordings of expert loads that serving engines write, read as traces.
namespace gembench {

/// What is to be read, and what the user says of it. Many formats do not say all they should: what
/// is 0 was not stated; what is stated and disagrees with the file is refused.
struct RecordingInput {
  std::vector<std::filesystem::path> paths;  ///< files, or one folder
  int layers = 0;                            ///< MoE layers
  int experts = 0;
  int topk = 0;
};

/// Gets a few steps at a time, in order, each a sound trace; all have the same layers, experts,
/// top-k, sources, layer ids and labels. Memory holds no more than those.
using KeepSteps = std::function<void(const Trace& steps)>;

/// A format of recordings whose entries are steps (forward passes) already.
struct RecordingFormat {
  std::string_view name;  ///< as on the command line
  std::string_view what;  ///< who writes it, for `list` and for people
  /// Whether the input looks like it: names, first bytes. Never throws for foreign content.
  bool (*recognise)(const RecordingInput& input);
  /// Usage error naming the file, and the step and layer where there is one.
  void (*read)(const RecordingInput& input, const KeepSteps& keep);
};

/// All of them; `auto` takes the first that recognises the input.
[[nodiscard]] std::span<const RecordingFormat> recording_formats();

}  // namespace gembench
