// Counts as text: a row for every step and layer with a column for every expert, or a row for
// every count; in one file, or one of every rank.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>

#include "placement/base/error.hpp"
#include "placement/base/plain_text.hpp"
#include "placement/recordings/count_cells.hpp"
#include "placement/recordings/counts_table.hpp"
#include "placement/recordings/formats.hpp"
#include "placement/recordings/step_batches.hpp"

namespace gembench::inline recordings {
namespace {

using Role = CountColumns::Role;

// Wide files whose steps are not in order are sorted in memory.
constexpr std::size_t kMaxSorted = std::size_t{1} << 26;                           // counts
constexpr std::size_t kCountsOfRow = sizeof(CountRow) / sizeof(std::int64_t) + 2;  // a row's cost

/// Rows of consecutive steps of a wide table, handed on when they are complete. All steps have the
/// layers of the first.
class Grid {
 public:
  Grid(const RecordingInput& input, const CountsTable& table, StepPass& pass)
      : input_(input), table_(table), pass_(pass) {}

  void add(std::vector<CountRow>& rows) {
    std::stable_sort(rows.begin(), rows.end(), [](const CountRow& a, const CountRow& b) {
      return a.step != b.step ? a.step < b.step : a.layer < b.layer;
    });
    for (std::size_t first = 0; first < rows.size();) {
      auto end = first + 1;
      while (end < rows.size() && rows[end].step == rows[first].step) ++end;
      add_step({rows.data() + first, end - first});
      first = end;
    }
  }
  std::vector<std::string> finish() {
    if (!batches_) table_.refuse("no rows after the header");
    auto notes = batches_->finish();
    say_gaps(first_step_, last_step_, steps_, notes);
    if (const auto unused = table_.columns().unused(); !unused.empty())
      notes.push_back(fmt::format("did not use the columns {}", unused));
    return notes;
  }

 private:
  void add_step(std::span<const CountRow> rows) {
    for (std::size_t i = 1; i < rows.size(); ++i)
      if (rows[i].layer == rows[i - 1].layer)
        table_.refuse(rows[i].line, fmt::format("step {}, layer {} is already in line {}",
                                                rows[i].step, rows[i].layer, rows[i - 1].line));
    if (!batches_) begin(rows);
    counts_.clear();
    for (std::size_t i = 0; i < std::max(rows.size(), layers_.size()); ++i) {
      if (i == rows.size() || (i < layers_.size() && rows[i].layer > layers_[i]))
        table_.refuse(rows.back().line, fmt::format("there is no row for step {}, layer {}",
                                                    rows[0].step, layers_[i]));
      if (i == layers_.size() || rows[i].layer < layers_[i])
        table_.refuse(rows[i].line, fmt::format("layer {} is not in step {}, the first",
                                                rows[i].layer, first_step_));
      counts_.insert(counts_.end(), rows[i].counts.begin(), rows[i].counts.end());
    }
    batches_->add(counts_);
    last_step_ = rows[0].step;
    ++steps_;
  }
  void begin(std::span<const CountRow> rows) {
    for (const auto& row : rows) layers_.push_back(row.layer);
    first_step_ = rows[0].step;
    batches_.emplace(input_,
                     RecordedShape{static_cast<std::int64_t>(layers_.size()),
                                   table_.columns().experts, 0, 0, layer_ids_of(layers_), 0},
                     pass_);
  }

  const RecordingInput& input_;
  const CountsTable& table_;
  StepPass& pass_;
  std::optional<StepBatches> batches_;
  std::vector<std::int64_t> counts_;
  std::vector<std::int32_t> layers_;
  std::int64_t first_step_ = 0, last_step_ = 0, steps_ = 0;
};

bool steps_ascend(const std::filesystem::path& path) {
  CountsTable table(path);
  CountRow row;
  for (std::int64_t last = 0; table.next(row, false); last = row.step)
    if (row.step < last) return false;
  return true;
}

/// Of any size if its steps are in order.
std::vector<std::string> read_wide(const RecordingInput& input, StepPass& pass) {
  const auto& path = input.paths[0];
  const bool ascend = steps_ascend(path);
  CountsTable table(path);
  Grid grid(input, table, pass);
  std::vector<CountRow> rows;
  CountRow row;
  while (table.next(row)) {
    if (ascend && !rows.empty() && row.step != rows.front().step) {
      grid.add(rows);
      rows.clear();
    }
    rows.push_back(row);
    if (rows.size() * (row.counts.size() + kCountsOfRow) > kMaxSorted)
      table.refuse("too many rows to sort; order them by step");
  }
  if (!rows.empty()) grid.add(rows);
  return grid.finish();
}

std::vector<std::string> read(const RecordingInput& input, StepPass& pass) {
  if (input.paths.empty()) throw usage_error("no file to import; name one");
  if (input.paths.size() == 1) {
    const auto columns = CountsTable(input.paths[0]).columns();
    if (columns.experts > 0 && !columns.has(Role::rank)) return read_wide(input, pass);
  }
  CountCells cells(input);
  for (const auto& path : input.paths) {
    CountsTable table(path);
    cells.add(table);
  }
  return cells.finish(pass);
}

bool recognise(const RecordingInput& input) {
  if (input.paths.empty()) return false;
  std::string start = first_bytes(input.paths[0], 4096);
  const auto end = start.find_first_of("\r\n");
  // A header of many experts is longer: without its last column, which is cut off.
  start.resize(end != std::string::npos ? end : start.find_last_of(",;\t") + 1);
  while (!start.empty() && end == std::string::npos &&
         std::string_view(",;\t").find(start.back()) != std::string_view::npos)
    start.pop_back();
  std::string why;
  return parse_count_header(without_bom(start), why).has_value();
}

}  // namespace

const RecordingFormat kCountsCsv{
    "csv", "a row step,layer,e0,e1,... or step,layer,expert,count; also a file of every rank",
    recognise, read};

}  // namespace gembench::inline recordings
