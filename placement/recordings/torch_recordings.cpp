// Counts in one tensor: SGLang's expert distribution `stat`, and a bare tensor as vllm-ascend
// reads.
#include <fmt/format.h>

#include <algorithm>

#include "placement/base/error.hpp"
#include "placement/encodings/torch_file.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

using Kind = PickleValue::Kind;
constexpr const char* kCounts = "logical_count";

/// [step][layer][expert] or [layer][expert].
std::vector<std::string> read_tensor(const RecordingInput& input, StepPass& pass, TorchFile& file,
                                     const PickleValue* value, const char* what, bool whole_model) {
  const auto tensor = file.tensor(value, what, 2, 3);
  const auto rank = tensor.shape.size();
  const auto layers = tensor.shape[rank - 2];
  StepBatches batches(input,
                      {layers,
                       tensor.shape[rank - 1],
                       0,
                       0,
                       {},
                       whole_model ? static_cast<int>(layers) : 0,
                       whole_model},
                      pass);
  std::vector<std::int64_t> counts(batches.step_size());
  file.open(tensor);
  std::int64_t largest = 0;
  for (std::int64_t step = 0; step < (rank == 3 ? tensor.shape[0] : 1); ++step) {
    file.read(counts);
    batches.add(counts);
    largest = std::max(largest, *std::max_element(counts.begin(), counts.end()));
  }
  auto notes = batches.finish();
  const auto rounded = rounding_notes(exact_up_to(tensor.element), largest);
  notes.insert(notes.end(), rounded.begin(), rounded.end());
  return notes;
}

/// A ring buffer of passes that rank 0 wrote, summed over ranks. Places that were never used tell
/// where it starts; a full one has no start, and its steps may be rotated.
std::vector<std::string> read_stat(const RecordingInput& input, StepPass& pass) {
  TorchFile file(only_path(input));
  return read_tensor(input, pass, file, file.pickle().find(file.root(), kCounts), kCounts, true);
}

std::vector<std::string> read_bare(const RecordingInput& input, StepPass& pass) {
  TorchFile file(only_path(input));
  return read_tensor(input, pass, file, &file.root(), "at its root", false);
}

/// Whether the only path is a torch file with such a root.
template <class Test>
bool root_is(const RecordingInput& input, Test test) {
  if (input.paths.size() != 1 || !is_torch(first_bytes(input.paths[0], 2))) return false;
  try {
    const TorchFile file(input.paths[0]);
    return test(file);
  } catch (const Error&) {
    return false;
  }
}

bool is_stat(const RecordingInput& input) {
  return root_is(input, [](const TorchFile& file) {
    return file.pickle().find(file.root(), kCounts) != nullptr;
  });
}

bool is_bare(const RecordingInput& input) {
  return root_is(input, [](const TorchFile& file) { return file.root().kind == Kind::tensor; });
}

}  // namespace

const RecordingFormat kSglangStat{"sglang-stat", "SGLang: expert distribution `stat`, a .pt file",
                                  is_stat, read_stat};
const RecordingFormat kAscendPt{
    "ascend-pt", "vllm-ascend: a .pt tensor, [layer][expert] or with steps", is_bare, read_bare};

}  // namespace gembench::inline recordings
