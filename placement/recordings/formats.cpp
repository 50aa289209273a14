#include "placement/recordings/formats.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/base/known_names.hpp"
#include "placement/encodings/torch_file.hpp"
#include "placement/recordings/layer_sums.hpp"
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

std::span<const RecordingFormat> recording_formats() {
  static const RecordingFormat formats[] = {kTrtllmStatistics,
                                            kTrtllmCalibration,
                                            kSglangStat,
                                            kSglangPerPass,
                                            kSglangJson,
                                            kVllmLoadStats,
                                            kAscendPt,
                                            kOmniCounts,
                                            kNpy,
                                            kCountsCsv,
                                            kVllmRouted,
                                            kSglangRouted,
                                            kRouteLines,
                                            kIds};
  return formats;
}

std::string experimental_recording_formats() {
  std::vector<std::string_view> names;
  for (const auto& format : recording_formats())
    if (!format.experimental.empty()) names.push_back(format.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

namespace {

/// Of a torch file, what it holds, or why it cannot be read.
std::string in_torch_file(const RecordingInput& input) {
  if (input.paths.empty() || !is_torch(first_bytes(input.paths[0], 2))) return "";
  try {
    return fmt::format(" (it holds {})", TorchFile(input.paths[0]).contents());
  } catch (const Error& error) {
    return fmt::format(" ({})", error.what());
  }
}

/// The input's paths, each as an input of its own.
std::vector<RecordingInput> one_by_one(const RecordingInput& input) {
  std::vector<RecordingInput> all;
  for (const auto& path : input.paths) {
    all.push_back(input);
    all.back().paths = {path};
  }
  return all;
}

bool recognises_each(const RecordingFormat& format, const RecordingInput& input) {
  const auto each = one_by_one(input);
  return std::all_of(each.begin(), each.end(),
                     [&](const auto& one) { return format.recognise(one); });
}

}  // namespace

std::vector<RecordingInput> recordings_in(const RecordingFormat& format,
                                          const RecordingInput& input) {
  if (input.paths.size() < 2 || format.recognise(input) || !recognises_each(format, input))
    return {input};
  return one_by_one(input);
}

const RecordingFormat& find_format(std::string_view name, const RecordingInput& input) {
  std::error_code error;
  for (const auto& path : input.paths)
    if (!std::filesystem::exists(path, error))
      throw usage_error(fmt::format("{} does not exist; check the path", path.string()));
  const auto formats = recording_formats();
  std::vector<const RecordingFormat*> found;
  for (const auto& format : formats)
    if (name == "auto" ? format.recognise(input) : name == format.name) found.push_back(&format);
  if (found.empty() && name == "auto" && input.paths.size() > 1)
    for (const auto& format : formats)
      if (recognises_each(format, input)) found.push_back(&format);
  if (found.size() == 1) {
    if (!input.array.empty() && found[0]->name != kNpy.name && found[0]->name != kIds.name)
      throw usage_error(
          fmt::format("{} is read as {}, which has no arrays to choose from: drop --array",
                      name_of(input), found[0]->name));
    return *found.front();
  }
  std::vector<std::string_view> names;
  for (const auto& format : formats) names.push_back(format.name);
  if (name != "auto")
    throw usage_error(fmt::format("unknown trace format '{}'{}: choose one of {}", name,
                                  did_you_mean(name, names_of_rows(formats)),
                                  fmt::join(names, ", ")));
  if (found.empty())
    throw usage_error(fmt::format("{} is not in a known recording format{}: name its format, {}",
                                  name_of(input), in_torch_file(input), fmt::join(names, ", ")));
  names.clear();
  for (const auto* format : found) names.push_back(format->name);
  throw usage_error(fmt::format("{} may be a recording of several formats: name it, {}",
                                name_of(input), fmt::join(names, " or ")));
}

Trace read_recording(std::string_view format, const RecordingInput& input) {
  Trace whole;
  LayerSums sums;
  const auto add = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  const auto& found = find_format(format, input);
  if (!found.read_pass)
    throw usage_error(fmt::format(
        "{} is a recording of tokens; choose how to group them into steps", name_of(input)));
  found.read(input, [&](Trace steps) {
    try {
      equalise_layers(steps, sums);
      validate(steps);
    } catch (const Error& error) {
      throw usage_error(fmt::format("{}: {}", name_of(input), error.what()));
    }
    if (whole.steps == 0) {
      whole = std::move(steps);
      return;
    }
    whole.steps += steps.steps;
    add(whole.tokens, steps.tokens);
    add(whole.source_tokens, steps.source_tokens);
    add(whole.topk_ids, steps.topk_ids);
    add(whole.task, steps.task);
    add(whole.phase, steps.phase);
  });
  return whole;
}

}  // namespace gembench::inline recordings
