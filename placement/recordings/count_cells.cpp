#include "placement/recordings/count_cells.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline recordings {
namespace {

constexpr std::size_t kMaxCells = std::size_t{1} << 25;  // 1 GiB
constexpr std::size_t kMaxSources = 1 << 16;
// Steps are handed on with all their counts. Beyond this, nearly all would be absent from the file.
constexpr std::int64_t kMaxAbsent = std::int64_t{1} << 28;
constexpr std::int64_t kMaxPerCell = 64;

}  // namespace

void say_gaps(std::int64_t first, std::int64_t last, std::int64_t steps,
              std::vector<std::string>& notes) {
  if (last - first + 1 != steps)
    notes.push_back(
        fmt::format("steps are numbered {} to {} with gaps: {} steps", first, last, steps));
}

std::vector<std::int32_t> layer_ids_of(const std::vector<std::int32_t>& layers) {
  return layers.back() + 1 == static_cast<std::int32_t>(layers.size()) ? std::vector<std::int32_t>()
                                                                       : layers;
}

void CountCells::add(const CountsTable& table, const CountRow& row, std::size_t expert,
                     std::int64_t count) {
  if (cells_.size() == kMaxCells)
    table.refuse(fmt::format("more than {} counts; import fewer steps at a time", kMaxCells));
  const auto next = static_cast<std::uint32_t>(sources_.size());
  const auto source = sources_.emplace(std::pair(files_, row.rank), next).first->second;
  if (sources_.size() > kMaxSources)
    table.refuse(fmt::format("more than {} ranks; check the column of ranks", kMaxSources));
  cells_.push_back({row.step, count, row.layer, static_cast<std::int32_t>(expert), source,
                    static_cast<std::uint32_t>(row.line)});
}

void CountCells::refuse_twice(const CountsTable& table, std::size_t first) {
  const auto begin = cells_.begin() + static_cast<std::ptrdiff_t>(first);
  const auto key = [](const Cell& c) { return std::tie(c.step, c.layer, c.expert, c.source); };
  std::sort(begin, cells_.end(), [&](const Cell& a, const Cell& b) {
    return key(a) != key(b) ? key(a) < key(b) : a.line < b.line;
  });
  const auto twice = std::adjacent_find(
      begin, cells_.end(), [&](const Cell& a, const Cell& b) { return key(a) == key(b); });
  if (twice == cells_.end()) return;
  table.refuse(
      (twice + 1)->line,
      fmt::format("step {}, layer {}{} is already in line {}", twice->step, twice->layer,
                  long_form_ ? fmt::format(", expert {}", twice->expert) : "", twice->line));
}

void CountCells::add(CountsTable& table) {
  const auto& columns = table.columns();
  long_form_ = long_form_ || columns.experts == 0;
  experts_ = std::max<std::int64_t>(experts_, columns.experts);
  const auto first = cells_.size();
  CountRow row;
  while (table.next(row)) {
    if (columns.experts == 0) {
      add(table, row, static_cast<std::size_t>(row.expert), row.counts[0]);
      experts_ = std::max<std::int64_t>(experts_, row.expert + 1);
      continue;
    }
    for (std::size_t e = 0; e < row.counts.size(); ++e)
      if (e == 0 || row.counts[e] != 0) add(table, row, e, row.counts[e]);
  }
  if (cells_.size() == first) table.refuse("no rows after the header");
  if (const auto unused = columns.unused(); unused.empty()) {
    refuse_twice(table, first);  // other columns may tell rows apart
  } else {
    unused_.push_back(unused);
  }
  ++files_;
}

std::vector<std::string> CountCells::finish(StepPass& pass) {
  std::sort(cells_.begin(), cells_.end(), [](const Cell& a, const Cell& b) {
    return std::tie(a.step, a.layer, a.expert) < std::tie(b.step, b.layer, b.expert);
  });
  std::vector<std::int32_t> layers;
  for (const auto& cell : cells_) layers.push_back(cell.layer);
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  const bool stated = long_form_ && input_.experts > experts_;
  const auto experts = stated ? input_.experts : experts_;
  StepBatches batches(
      input_, {static_cast<std::int64_t>(layers.size()), experts, 0, 0, layer_ids_of(layers), 0},
      pass);
  const auto distinct =
      std::ranges::count_if(cells_, [&, last = cells_.front().step - 1](const Cell& c) mutable {
        return std::exchange(last, c.step) != c.step;
      });
  if (distinct > (kMaxAbsent + kMaxPerCell * std::ssize(cells_)) /
                     static_cast<std::int64_t>(batches.step_size()))
    throw usage_error(fmt::format(
        "{}: {} steps of {} layers x {} experts have {} counts, so nearly all are absent; check "
        "the columns of steps, layers and experts",
        name_of(input_), distinct, layers.size(), experts, cells_.size()));
  std::vector<std::int64_t> counts(batches.step_size(), 0);
  std::int64_t steps = 0;
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const auto& cell = cells_[i];
    const auto row = static_cast<std::size_t>(
        std::lower_bound(layers.begin(), layers.end(), cell.layer) - layers.begin());
    auto& count =
        counts[row * static_cast<std::size_t>(experts) + static_cast<std::size_t>(cell.expert)];
    if (__builtin_add_overflow(count, cell.count, &count))
      throw usage_error(
          fmt::format("{}: step {}, layer {}: the counts do not sum up to 64 bits; import fewer "
                      "files",
                      name_of(input_), cell.step, cell.layer));
    if (i + 1 < cells_.size() && cells_[i + 1].step == cell.step) continue;
    batches.add(counts);
    std::fill(counts.begin(), counts.end(), 0);
    ++steps;
  }
  auto notes = batches.finish();
  say_gaps(cells_.front().step, cells_.back().step, steps, notes);
  if (sources_.size() > 1)
    notes.push_back(fmt::format("added up the counts of {} ranks or files", sources_.size()));
  if (long_form_ && input_.experts == 0)
    notes.push_back(fmt::format(
        "counted {} experts by the largest id; add --experts if there are more", experts));
  if (!unused_.empty())
    notes.push_back(fmt::format("did not use the columns {}", fmt::join(unused_, "; ")));
  return notes;
}

}  // namespace gembench::inline recordings
