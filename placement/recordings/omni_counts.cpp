// omni-infer's activation counts: activation_counts_recordstep_{step}_rank_{rank}.txt, a line of
// tab-separated counts by physical expert for every layer. Without a map these are used as logical
// experts.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "placement/base/error.hpp"
#include "placement/encodings/byte_stream.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "activation_counts_recordstep_", kMiddle = "_rank_",
                           kSuffix = ".txt";
constexpr std::size_t kMaxLine = std::size_t{1} << 20;
constexpr std::size_t kMaxCells = std::size_t{1} << 24;
constexpr std::size_t kMaxFiles = 1'000'000;

struct Name {
  std::int64_t step = 0, rank = 0;
};

std::optional<Name> parse_name(const fs::path& path) {
  const auto text = path.filename().string();
  std::string_view rest = text;
  Name name;
  const auto take = [&](std::string_view token) {
    const bool found = rest.starts_with(token);
    if (found) rest.remove_prefix(token.size());
    return found;
  };
  const auto number = [&](std::int64_t& to) {
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), to);
    rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    return error == std::errc{} && to >= 0;
  };
  const bool fits = take(kPrefix) && number(name.step) && take(kMiddle) && number(name.rank) &&
                    take(kSuffix) && rest.empty();
  return fits ? std::optional(name) : std::nullopt;
}

/// [step][rank] file; in folders only files with such names, else all files.
std::map<std::int64_t, std::map<std::int64_t, fs::path>> files_of(const RecordingInput& input) {
  std::map<std::int64_t, std::map<std::int64_t, fs::path>> steps;
  std::size_t count = 0;
  const auto add = [&](const fs::path& path, bool must) {
    const auto name = parse_name(path);
    if (!name && must)
      throw usage_error(
          fmt::format("{} is not named activation_counts_recordstep_N_rank_R.txt, which "
                      "tells its step and rank",
                      path.string()));
    if (!name) return;
    if (++count > kMaxFiles)
      throw usage_error(fmt::format("{} has more than {} files", name_of(input), kMaxFiles));
    if (!steps[name->step].emplace(name->rank, path).second)
      throw usage_error(fmt::format("{} is the second file of its step and rank", path.string()));
  };
  for (const auto& path : input.paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      add(path, true);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path, error)) add(entry.path(), false);
  }
  if (steps.empty())
    throw usage_error(
        fmt::format("{} has no activation_counts_recordstep_N_rank_R.txt", name_of(input)));
  return steps;
}

/// [layer][expert]
struct Counts {
  std::int64_t layers = 0, experts = 0;
  std::vector<std::int64_t> values;
};

Counts read_file(const fs::path& path) {
  ByteStream in(path);
  Counts counts;
  std::string line;
  while (in.read_line(line, kMaxLine)) {
    std::string_view rest = line;
    while (rest.ends_with('\t') || rest.ends_with(' ')) rest.remove_suffix(1);
    if (rest.empty()) continue;
    ++counts.layers;
    std::int64_t experts = 0;
    for (bool more = true; more; ++experts) {
      std::int64_t value = 0;
      const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
      const auto used = static_cast<std::size_t>(stop - rest.data());
      more = used < rest.size() && rest[used] == '\t';
      if (error != std::errc{} || (used < rest.size() && !more))
        in.refuse(fmt::format("has something else than a count in line {}, expert {}",
                              counts.layers, experts));
      if (counts.values.size() == kMaxCells) in.refuse("has too many counts");
      counts.values.push_back(value);
      rest.remove_prefix(used + (more ? 1 : 0));
    }
    if (counts.layers == 1) counts.experts = experts;
    if (experts != counts.experts)
      in.refuse(fmt::format("has {} experts in line {} where the first has {}", experts,
                            counts.layers, counts.experts));
  }
  if (counts.layers == 0) in.refuse("is empty");
  return counts;
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto steps = files_of(input);
  const auto& ranks = steps.begin()->second;
  const auto sources = ranks.size();
  std::optional<StepBatches> batches;
  std::vector<std::int64_t> counts;
  Counts first;
  for (const auto& [step, files] : steps) {
    const auto same_rank = [](const auto& a, const auto& b) { return a.first == b.first; };
    if (!std::equal(files.begin(), files.end(), ranks.begin(), ranks.end(), same_rank))
      throw usage_error(fmt::format("{} has other ranks in step {} than in step {}", name_of(input),
                                    step, steps.begin()->first));
    std::size_t source = 0;
    for (const auto& [rank, path] : files) {
      const auto found = read_file(path);
      if (!batches) {
        first = found;
        batches.emplace(
            input,
            RecordedShape{
                found.layers, found.experts, 0, sources > 1 ? static_cast<int>(sources) : 0, {}, 0},
            pass);
        counts.resize(batches->step_size());
      }
      if (found.layers != first.layers || found.experts != first.experts)
        throw usage_error(fmt::format("{} has {} layers of {} experts, unlike the files before it",
                                      path.string(), found.layers, found.experts));
      const auto experts = static_cast<std::size_t>(first.experts);
      for (std::size_t layer = 0; layer < static_cast<std::size_t>(first.layers); ++layer)
        std::copy_n(
            found.values.begin() + static_cast<std::ptrdiff_t>(layer * experts), experts,
            counts.begin() + static_cast<std::ptrdiff_t>((layer * sources + source) * experts));
      ++source;
    }
    batches->add(counts);
  }
  return batches->finish();
}

bool recognise(const RecordingInput& input) {
  std::error_code error;
  if (input.paths.empty()) return false;
  if (!fs::is_directory(input.paths[0], error)) return parse_name(input.paths[0]).has_value();
  return std::any_of(fs::directory_iterator(input.paths[0], error), fs::directory_iterator(),
                     [](const auto& entry) { return parse_name(entry.path()).has_value(); });
}

}  // namespace

const RecordingFormat kOmniCounts{
    "omni", "omni-infer: activation_counts_recordstep_*_rank_*.txt, files or their folder",
    recognise, read};

}  // namespace gembench::inline recordings
