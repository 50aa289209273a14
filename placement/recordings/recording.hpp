#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "placement/loads/multinomial_steps.hpp"
#include "placement/loads/trace.hpp"

/// Recordings of expert loads that serving engines write, read as traces.
namespace gembench::inline recordings {

/// The input, and the user's statements about it, since many formats are incomplete. 0 = not
/// stated. A statement that disagrees with the file is an error.
struct RecordingInput {
  std::vector<std::filesystem::path> paths;  ///< files, or one folder
  int layers = 0;                            ///< MoE layers
  int experts = 0;
  int topk = 0;
  // For raw ids, which have no header.
  int id_bytes = 1;                     ///< of an id: 1 or 2
  std::filesystem::path requests = {};  ///< table of requests (requests_file.hpp); empty: none
  std::string array = {};               ///< of a .npz; empty: its only one
};

/// Receives the steps in order, a batch at a time, as recorded: no count is negative, but layers of
/// a step may have different sums (equalise_layers() fixes that), and topk is 0 if neither file nor
/// user states it. All have the same layers, experts, top-k, sources, layer ids and labels.
using KeepSteps = std::function<void(Trace steps)>;

/// Approximate bytes of counts and ids in a batch, which is all that memory holds of a recording.
inline constexpr std::size_t kBatchBytes = std::size_t{16} << 20;

struct TokenRecording;
struct StepPass;

/// A format of recordings. Its entries are steps (forward passes), or tokens, which batching.hpp
/// groups into steps: `read_pass` or `read_tokens` is set. A format with both has steps, and may
/// list the tokens of each.
struct RecordingFormat {
  std::string_view name;  ///< as on the command line
  std::string_view what;  ///< who writes it, for `list` and for people
  /// Whether the input looks like this format, by names and first bytes. Never throws for foreign
  /// content.
  bool (*recognise)(const RecordingInput& input);
  /// One reading of the files (step_batches.hpp). Usage error naming the file, and the step and
  /// layer where there is one. Returns what the user must know, such as what was left out.
  std::vector<std::string> (*read_pass)(const RecordingInput& input, StepPass& pass);
  TokenRecording (*read_tokens)(const RecordingInput& input) = nullptr;
  /// The proposal that defines it, if no release of the engine writes it; it may change. Else
  /// empty.
  std::string_view experimental = {};

  /// Passes on all steps, in order of time. Returns what the user must know.
  std::vector<std::string> read(const RecordingInput& input, const KeepSteps& keep) const;
  /// Adds up all steps. `notes` receives what the user must know.
  [[nodiscard]] RunTotals read_totals(const RecordingInput& input,
                                      std::vector<std::string>& notes) const;
};

/// "a.pt", or "a.pt and 3 more".
[[nodiscard]] std::string name_of(const RecordingInput& input);
/// The path of a format with exactly one file. Usage error otherwise.
[[nodiscard]] const std::filesystem::path& only_path(const RecordingInput& input);
/// Usage error if the user stated another `what` (--what, --model) than the recording has.
void require_stated(const std::string& name, const char* what, std::int64_t has, int stated);
/// What the user must know of counts up to `largest` from numbers that are exact up to `exact`
/// (exact_up_to(); 0: all are).
[[nodiscard]] std::vector<std::string> rounding_notes(std::int64_t exact, std::int64_t largest);
/// At most the first `count` unpacked bytes; none if reading fails. For recognise().
[[nodiscard]] std::string first_bytes(const std::filesystem::path& path, std::size_t count);

}  // namespace gembench::inline recordings
