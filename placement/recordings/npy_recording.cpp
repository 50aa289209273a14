// Counts in an array: [step][layer][expert], or run totals [layer][expert].
#include <fmt/format.h>

#include "placement/base/error.hpp"
#include "placement/encodings/byte_stream.hpp"
#include "placement/encodings/npy.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto& path = only_path(input);
  const auto name = path.string();
  ByteStream in(path);
  std::string header(kNpyPrefix, '\0');
  in.read_exactly(header);
  header.resize(std::max(kNpyPrefix, npy_header_bytes(header, name)));
  in.read_exactly(std::span(header).subspan(kNpyPrefix));
  const auto array = parse_npy_header(header, name);
  const auto rank = array.shape.size();
  if (rank != 2 && rank != 3)
    throw usage_error(fmt::format(
        "{} has {} dimensions; counts are [step][layer][expert], run totals [layer][expert]", name,
        rank));
  StepBatches batches(input, {array.shape[rank - 2], array.shape[rank - 1], 0, 0, {}, 0}, pass);
  std::vector<char> bytes(batches.step_size() * size_of(array.element));
  std::vector<std::int64_t> counts(batches.step_size());
  const std::int64_t steps = rank == 3 ? array.shape[0] : 1;
  for (std::int64_t step = 0; step < steps; ++step) {
    in.read_exactly(bytes);
    if (!to_integers(array.element, bytes, counts))
      in.refuse(fmt::format("has a count that is no whole number in step {}", step));
    batches.add(counts);
  }
  char beyond = 0;
  if (in.read({&beyond, 1}) != 0) in.refuse("holds more than its header says; save it again");
  return batches.finish();
}

bool recognise(const RecordingInput& input) {
  return input.paths.size() == 1 && first_bytes(input.paths[0], 6) == "\x93NUMPY";
}

}  // namespace

const RecordingFormat kNpy{"npy", "NumPy: counts [step][layer][expert] or totals [layer][expert]",
                           recognise, read};

}  // namespace gembench::inline recordings
