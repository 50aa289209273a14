// Counts in an array: [step][layer][expert], or run totals [layer][expert].
#include <fmt/format.h>

#include <algorithm>

#include "placement/base/error.hpp"
#include "placement/encodings/npy_stream.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto name = name_of(input);
  auto [in, array] = open_npy(only_path(input), input.array);
  const auto rank = array.shape.size();
  if (rank != 2 && rank != 3)
    throw usage_error(fmt::format(
        "{} has {} dimensions; counts are [step][layer][expert], run totals [layer][expert]", name,
        rank));
  StepBatches batches(input, {array.shape[rank - 2], array.shape[rank - 1], 0, 0, {}, 0}, pass);
  std::vector<char> bytes(batches.step_size() * size_of(array.element));
  std::vector<std::int64_t> counts(batches.step_size());
  std::int64_t largest = 0;
  const std::int64_t steps = rank == 3 ? array.shape[0] : 1;
  for (std::int64_t step = 0; step < steps; ++step) {
    in.read_exactly(bytes);
    if (!to_integers(array.element, bytes, counts))
      in.refuse(fmt::format("has a count that is no whole number in step {}", step));
    batches.add(counts);
    largest = std::max(largest, *std::max_element(counts.begin(), counts.end()));
  }
  char beyond = 0;
  if (in.read({&beyond, 1}) != 0) in.refuse("holds more than its header says; save it again");
  auto notes = batches.finish();
  const auto rounded = rounding_notes(exact_up_to(array.element), largest);
  notes.insert(notes.end(), rounded.begin(), rounded.end());
  return notes;
}

bool recognise(const RecordingInput& input) {
  return input.paths.size() == 1 &&
         (is_npz(input.paths[0]) || is_npy(first_bytes(input.paths[0], kNpyPrefix)));
}

}  // namespace

const RecordingFormat kNpy{
    "npy", "NumPy, .npy or .npz: counts [step][layer][expert] or totals [layer][expert]", recognise,
    read};

}  // namespace gembench::inline recordings
