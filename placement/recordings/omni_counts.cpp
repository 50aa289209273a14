// omni-infer's activation counts: activation_counts_recordstep_{step}_rank_{rank}.txt, a line of
// tab-separated counts by slot for every layer. Rank 0's file alone has all slots; in those of all
// ranks, each has its own. Without a map slots are used as logical experts.
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

/// What the columns of the files of several ranks are.
enum class Columns {
  experts,       ///< of each source rank, all experts
  own_slots,     ///< of each rank, the slots that it holds
  all_on_rank_0  ///< rank 0's file has all slots, which the others repeat
};

class Steps {
 public:
  Steps(const RecordingInput& input, StepPass& pass) : input_(input), pass_(pass) {}

  /// Files of a step, one a rank from 0 on.
  void add(const std::map<std::int64_t, fs::path>& files) {
    std::vector<Counts> ranks;
    for (const auto& [rank, path] : files) {
      ranks.push_back(read_file(path));
      if (ranks.back().layers != ranks[0].layers ||
          (batches_ && ranks.back().experts != columns_[ranks.size() - 1]) ||
          (batches_ && ranks[0].layers != layers_))
        refuse_shape(path, ranks.back());
    }
    if (!batches_) begin(ranks, files);
    fill(ranks);
    batches_->add(counts_);
  }
  std::vector<std::string> finish() {
    auto notes = batches_->finish();
    if (kind_ == Columns::own_slots)
      notes.push_back(
          fmt::format("took the {} columns of a file for its rank's own slots", experts_));
    if (kind_ == Columns::all_on_rank_0)
      notes.push_back(fmt::format("left out the files of {} ranks, whose slots are in rank 0's",
                                  columns_.size() - 1));
    return notes;
  }

 private:
  [[noreturn]] static void refuse_shape(const fs::path& path, const Counts& found) {
    throw usage_error(fmt::format("{} has {} layers of {} experts, unlike the files before it",
                                  path.string(), found.layers, found.experts));
  }
  void begin(const std::vector<Counts>& ranks, const std::map<std::int64_t, fs::path>& files) {
    layers_ = ranks[0].layers;
    experts_ = ranks.back().experts;
    for (const auto& rank : ranks) columns_.push_back(rank.experts);
    const auto several = static_cast<std::int64_t>(ranks.size());
    const bool equal = std::equal(columns_.begin() + 1, columns_.end(), columns_.begin());
    const bool equal_but_first =
        several > 1 && std::equal(columns_.begin() + 2, columns_.end(), columns_.begin() + 1);
    if (equal && several > 1 && input_.experts != experts_) {
      kind_ = Columns::own_slots;
    } else if (!equal && equal_but_first && columns_[0] == several * experts_) {
      kind_ = Columns::all_on_rank_0;
    } else if (!equal) {
      auto file = files.begin();
      for (std::size_t i = 0; columns_[i] == columns_[0]; ++i) ++file;
      refuse_shape(file->second,
                   ranks[static_cast<std::size_t>(std::distance(files.begin(), file))]);
    }
    const bool sources = kind_ == Columns::experts && several > 1;
    RecordedShape shape;
    shape.layers = layers_;
    shape.experts = kind_ == Columns::experts ? experts_ : several * experts_;
    shape.sources = sources ? static_cast<int>(several) : 0;
    batches_.emplace(input_, shape, pass_);
    counts_.resize(batches_->step_size());
  }
  /// Rows of ranks side by side: [layer][source][expert], and [layer][rank][slot], are alike.
  void fill(const std::vector<Counts>& ranks) {
    const auto used = kind_ == Columns::all_on_rank_0 ? 1 : ranks.size();
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(layers_); ++layer)
      for (std::size_t rank = 0; rank < used; ++rank) {
        const auto columns = static_cast<std::size_t>(columns_[rank]);
        std::copy_n(ranks[rank].values.begin() + static_cast<std::ptrdiff_t>(layer * columns),
                    columns,
                    counts_.begin() + static_cast<std::ptrdiff_t>((layer * used + rank) * columns));
      }
  }

  const RecordingInput& input_;
  StepPass& pass_;
  Columns kind_ = Columns::experts;
  std::optional<StepBatches> batches_;
  std::vector<std::int64_t> counts_, columns_;  // columns of the ranks' files
  std::int64_t layers_ = 0, experts_ = 0;       // experts: columns of the last rank
};

/// Only rank 0 may write all slots into its file.
void require_all_ranks(const RecordingInput& input, const std::map<std::int64_t, fs::path>& ranks) {
  std::int64_t expected = 0;
  for (const auto& [rank, path] : ranks)
    if (rank != expected++)
      throw usage_error(
          fmt::format("{} has no file of rank {} beside that of rank {}, whose columns are its own "
                      "slots; give the files of all ranks",
                      name_of(input), expected - 1, rank));
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto steps = files_of(input);
  const auto& ranks = steps.begin()->second;
  require_all_ranks(input, ranks);
  Steps all(input, pass);
  for (const auto& [step, files] : steps) {
    const auto same_rank = [](const auto& a, const auto& b) { return a.first == b.first; };
    if (!std::equal(files.begin(), files.end(), ranks.begin(), ranks.end(), same_rank))
      throw usage_error(fmt::format("{} has other ranks in step {} than in step {}", name_of(input),
                                    step, steps.begin()->first));
    all.add(files);
  }
  return all.finish();
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
