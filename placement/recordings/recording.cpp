#include "placement/recordings/recording.hpp"

#include <fmt/format.h>

#include <utility>

#include "placement/base/error.hpp"
#include "placement/encodings/byte_stream.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {

std::vector<std::string> RecordingFormat::read(const RecordingInput& input,
                                               const KeepSteps& keep) const {
  StepPass pass;
  pass.keep = &keep;
  auto notes = read_pass(input, pass);
  if (pass.aim == StepPass::Aim::keep) return notes;  // one reading was enough
  pass.aim = StepPass::Aim::keep;
  for (const auto& range : pass.survey.in_order_of_time()) {
    pass.range = range;
    (void)read_pass(input, pass);
  }
  return notes;
}

RunTotals RecordingFormat::read_totals(const RecordingInput& input,
                                       std::vector<std::string>& notes) const {
  StepPass pass;
  pass.aim = StepPass::Aim::add_up;
  notes = read_pass(input, pass);
  return std::move(pass.totals);
}

std::string name_of(const RecordingInput& input) {
  if (input.paths.size() < 2) return input.paths.empty() ? "" : input.paths[0].string();
  return fmt::format("{} and {} more", input.paths[0].string(), input.paths.size() - 1);
}

const std::filesystem::path& only_path(const RecordingInput& input) {
  if (input.paths.size() != 1)
    throw usage_error(fmt::format("{} are {} files; this format is one: import them one by one",
                                  name_of(input), input.paths.size()));
  return input.paths[0];
}

std::string first_bytes(const std::filesystem::path& path, std::size_t count) {
  std::string bytes(count, '\0');
  try {
    ByteStream in(path);
    bytes.resize(in.read(bytes));
  } catch (const Error&) {
    bytes.clear();
  }
  return bytes;
}

}  // namespace gembench::inline recordings
