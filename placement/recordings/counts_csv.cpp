// Counts as text: a header step,layer,e0,e1,... and a row per step and layer.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string_view>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/error.hpp"
#include "placement/encodings/byte_stream.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::size_t kMaxLine = std::size_t{2} << 20;  // kMaxExperts counts of many digits

struct Row {
  std::int32_t step = 0;
  std::int32_t layer = 0;
  std::int64_t line = 0;
  std::vector<std::int64_t> counts;
};

// Files whose steps are not in order are sorted in memory.
constexpr std::size_t kMaxSorted = std::size_t{1} << 26;                      // counts
constexpr std::size_t kCountsOfRow = sizeof(Row) / sizeof(std::int64_t) + 2;  // that a row costs

/// The rows of a file, from the front.
class Rows {
 public:
  explicit Rows(const std::filesystem::path& path) : path_(path), in_(path) { read_header(); }

  [[nodiscard]] int experts() const { return experts_; }
  [[noreturn]] void refuse(std::int64_t line, const std::string& why) const {
    throw usage_error(fmt::format("{}:{}: {}", path_.string(), line, why));
  }
  [[noreturn]] void refuse(const std::string& why) const { refuse(number_, why); }

  /// With `with_counts` false only step and layer are read.
  bool next(Row& row, bool with_counts = true) {
    if (!next_line()) return false;
    if (line_.empty()) {
      if (!next_line()) return false;  // editors leave an empty line at the end
      refuse(number_ - 1, "column step: '' is not a whole number");
    }
    rest_ = line_;
    more_ = true;
    row.line = number_;
    row.step = parse_count("step");
    if (!more_) refuse("a row without a layer");
    row.layer = parse_count("layer");
    if (!with_counts) return true;
    row.counts.clear();
    for (int e = 0; e < experts_; ++e) {
      if (!more_) refuse(fmt::format("{} counts where the header names {} experts", e, experts_));
      row.counts.push_back(parse_count("", e));
    }
    if (more_) refuse(fmt::format("more counts than the {} the header names", experts_));
    return true;
  }

 private:
  bool next_line() {
    const bool found = in_.read_line(line_, kMaxLine);
    if (found) ++number_;
    return found;
  }
  std::string_view next_cell() {
    const auto end = rest_.find(',');
    const auto cell = rest_.substr(0, end);
    more_ = end != std::string_view::npos;
    rest_.remove_prefix(more_ ? end + 1 : rest_.size());
    return cell;
  }
  void read_header() {
    number_ = 1;
    if (!in_.read_line(line_, kMaxLine)) refuse("the file is empty; it needs step,layer,e0,e1,...");
    rest_ = line_;
    int column = 0;
    while (more_) {
      const auto cell = next_cell();
      const auto expected = column == 0   ? std::string("step")
                            : column == 1 ? std::string("layer")
                                          : fmt::format("e{}", column - 2);
      if (cell != expected)
        refuse(
            fmt::format("the header says '{}' where '{}' belongs; it must be step,layer,e0,e1,...",
                        shown(cell), expected));
      if (++column - 2 > kMaxExperts) refuse(fmt::format("more than {} experts", kMaxExperts));
    }
    if (column < 3) refuse("no expert columns; the header must be step,layer,e0,e1,...");
    experts_ = column - 2;
  }
  std::int32_t parse_count(std::string_view column, int expert = 0) {
    const auto cell = next_cell();
    std::int64_t value = 0;
    const auto* end = cell.data() + cell.size();
    const auto [stop, error] = std::from_chars(cell.data(), end, value);
    const bool fits = value >= 0 && value <= std::numeric_limits<std::int32_t>::max();
    if (error == std::errc{} && stop == end && fits) return static_cast<std::int32_t>(value);
    const auto name = column.empty() ? fmt::format("e{}", expert) : std::string(column);
    if (error == std::errc{} && stop == end && value < 0)
      refuse(fmt::format("column {}: {} is negative", name, shown(cell)));
    if (error == std::errc::result_out_of_range || (error == std::errc{} && !fits))
      refuse(fmt::format("column {}: {} is too large", name, shown(cell)));
    refuse(fmt::format("column {}: '{}' is not a whole number", name, shown(cell)));
  }

  std::filesystem::path path_;
  ByteStream in_;
  std::string line_;
  std::string_view rest_;
  bool more_ = true;
  std::int64_t number_ = 0;
  int experts_ = 0;
};

/// Rows of consecutive steps from `first_step` on, handed on when they are a full grid.
class Grid {
 public:
  Grid(const RecordingInput& input, const Rows& rows, StepPass& pass)
      : input_(input), rows_(rows), pass_(pass) {}

  void add(std::vector<Row>& steps) {
    std::stable_sort(steps.begin(), steps.end(), [](const Row& a, const Row& b) {
      return a.step != b.step ? a.step < b.step : a.layer < b.layer;
    });
    if (layers_ == 0)
      while (static_cast<std::size_t>(layers_) < steps.size() &&
             steps[static_cast<std::size_t>(layers_)].step == steps[0].step)
        ++layers_;
    const Row* before = nullptr;
    for (const auto& row : steps) {
      if (before && row.step == before->step && row.layer == before->layer)
        rows_.refuse(row.line, fmt::format("step {}, layer {} is already in line {}", row.step,
                                           row.layer, before->line));
      if (row.step != step_ || row.layer != layer_) refuse_missing(row.line);
      before = &row;
      take(row);
    }
    if (layer_ != 0) refuse_missing(before->line);
  }
  std::vector<std::string> finish() {
    if (!batches_) rows_.refuse("no rows after the header");
    return batches_->finish();
  }

 private:
  void take(const Row& row) {
    if (!batches_)
      batches_.emplace(input_, RecordedShape{layers_, rows_.experts(), 0, 0, {}, 0}, pass_);
    counts_.insert(counts_.end(), row.counts.begin(), row.counts.end());
    if (++layer_ < layers_) return;
    batches_->add(counts_);
    counts_.clear();
    layer_ = 0;
    ++step_;
  }
  [[noreturn]] void refuse_missing(std::int64_t line) const {
    rows_.refuse(line, fmt::format("there is no row for step {}, layer {}; steps and layers count "
                                   "from 0 without gaps",
                                   step_, layer_));
  }

  const RecordingInput& input_;
  const Rows& rows_;
  StepPass& pass_;
  std::optional<StepBatches> batches_;
  std::vector<std::int64_t> counts_;
  std::int32_t layers_ = 0, step_ = 0, layer_ = 0;  // the row that is expected
};

bool steps_ascend(const std::filesystem::path& path) {
  Rows rows(path);
  Row row;
  for (std::int32_t last = 0; rows.next(row, false); last = row.step)
    if (row.step < last) return false;
  return true;
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  const auto& path = only_path(input);
  const bool ascend = steps_ascend(path);
  Rows rows(path);
  Grid grid(input, rows, pass);
  std::vector<Row> steps;
  Row row;
  while (rows.next(row)) {
    if (ascend && !steps.empty() && row.step != steps.front().step) {
      grid.add(steps);
      steps.clear();
    }
    steps.push_back(row);
    if (steps.size() * (row.counts.size() + kCountsOfRow) > kMaxSorted)
      rows.refuse("too many rows to sort; order them by step");
  }
  if (!steps.empty()) grid.add(steps);
  return grid.finish();
}

bool recognise(const RecordingInput& input) {
  return input.paths.size() == 1 &&
         first_bytes(input.paths[0], 64).find("step,layer,e0") != std::string::npos;
}

}  // namespace

const RecordingFormat kCountsCsv{"csv", "a row step,layer,e0,e1,... for every step and layer",
                                 recognise, read};

}  // namespace gembench::inline recordings
