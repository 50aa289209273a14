#include "results/run_series.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <string>
#include <string_view>
#include <tuple>

#include "results/run_schema.hpp"
#include "results/whole_arrays.hpp"

namespace gembench::inline results {
namespace {

using h5::Cells;
using h5::Extents;
using h5::File;
using h5::Layout;
using h5::Type;
using h5::Variable;

constexpr Variable series(std::string_view name, Type type, std::string_view units,
                          std::string_view meaning) {
  return schema::unmeasured(name, type, {"rank", "sample"}, units, meaning);
}
constexpr Variable kSeriesSample = schema::scale("series/sample", "sample", "row of the series");
constexpr Variable kSeriesTime =
    series("series/time", Type::float64, "s",
           "middle of the reading, since the epoch of start_time; NaN = no reading");

struct SeriesColumn {
  Variable variable;
  double StateSample::*member = nullptr;
};
constexpr std::array<SeriesColumn, 6> kSeriesColumns{
    {{series("series/took", Type::float32, "s", "how long the reading took"), &StateSample::took},
     {series("series/clock", Type::float32, "Hz", "clock of the multiprocessors"),
      &StateSample::clock},
     {series("series/memory_clock", Type::float32, "Hz", "clock of the memory"),
      &StateSample::memory_clock},
     {series("series/power", Type::float32, "W", "power drawn"), &StateSample::power},
     {series("series/temperature", Type::float32, "degC", "temperature"),
      &StateSample::temperature},
     {series("series/energy", Type::float64, "J", "energy used since some time before"),
      &StateSample::energy}}};
constexpr Variable kSeriesReasons =
    series("series/throttle_reasons", Type::int64, "1", "why the clock is held down, NVML bits");
constexpr Variable kSeriesJob =
    series("series/job", Type::int32, "1", "start of the run that it was read in, 0 = the first");

constexpr std::string_view kStride = "stride";
constexpr std::int64_t kMostStride = std::int64_t{1} << 40;

constexpr std::uint64_t kRowBytes = 4 * 5 + 8 * 3 + 4;

Variable as(Variable variable, Layout layout) {
  variable.layout = layout;
  return variable;
}

void make_series(File& file, std::uint64_t ranks, std::uint64_t rows, Layout layout) {
  file.make_group("series");
  add_index(file, kSeriesSample, rows);
  const auto make = [&](const Variable& variable) {
    file.make(as(variable, layout), {ranks, rows});
  };
  make(kSeriesTime);
  for (const SeriesColumn& column : kSeriesColumns) make(column.variable);
  make(kSeriesReasons);
  make(kSeriesJob);
}

using Stretches = std::span<const SeriesStretch>;

template <class T>
void put(File& file, const Variable& variable, Stretches stretches, T StateSample::*member) {
  std::vector<Extents> starts;
  for (const SeriesStretch& one : stretches) starts.push_back({one.rank, one.row});
  std::vector<T> values;
  file.write_rows<T>(variable, starts, [&](std::size_t i) -> const std::vector<T>& {
    values.clear();
    for (const StateSample& sample : stretches[i].samples) values.push_back(sample.*member);
    return values;
  });
}

/// All but the times, a column at a time: there may be a stretch of every rank.
void put_values(File& file, Stretches stretches) {
  for (const SeriesColumn& column : kSeriesColumns) {
    put(file, column.variable, stretches, column.member);
  }
  put(file, kSeriesReasons, stretches, &StateSample::throttle_reasons);
  put(file, kSeriesJob, stretches, &StateSample::job);
}

}  // namespace

std::uint64_t series_rows(std::uint64_t ranks) {
  const std::uint64_t most = kSeriesBytes / (kRowBytes * std::max<std::uint64_t>(ranks, 1));
  return std::bit_floor(std::clamp<std::uint64_t>(most, 2, kSeriesRows));
}

std::uint64_t series_bytes(std::uint64_t ranks) {
  return ranks * series_rows(ranks) * kRowBytes;
}

SeriesWriter::SeriesWriter(File& file, std::uint64_t ranks)
    : file_(file), rows_(ranks, ThinnedRows(series_rows(ranks))) {
  make_series(file, ranks, series_rows(ranks), Layout::whole);
  file.set("series", kStride, std::int64_t{1});
}

void SeriesWriter::go_on_with(std::uint64_t stride) {
  for (ThinnedRows& rows : rows_) rows.go_on_with(stride);
}

void SeriesWriter::add(std::size_t rank, std::span<const StateSample> samples) {
  for (const StateSample& sample : samples) {
    const auto row = rows_.at(rank).next();
    if (!row) continue;
    if (rank == 0) {
      if (!std::exchange(any_, true)) first_ = sample.time;
      last_ = sample.time;
    }
    stale_ = stale_ || rows_[rank].replaces();
    const bool continues = !waiting_.empty() && waiting_.back().rank == rank &&
                           waiting_.back().row + waiting_.back().samples.size() == *row;
    if (!continues) waiting_.push_back({rank, *row, {}});
    waiting_.back().samples.push_back(sample);
  }
}

bool SeriesWriter::due() const {
  constexpr double kSeconds = 1;
  return any_ ? last_ - first_ >= kSeconds : !waiting_.empty();
}

void SeriesWriter::write_values() {
  if (stale_) {  // a row never has the time of one sample and the values of another
    std::vector<SeriesStretch> none;
    for (const SeriesStretch& one : waiting_) {
      none.push_back({one.rank, one.row, std::vector<StateSample>(one.samples.size())});
    }
    put(file_, kSeriesTime, none, &StateSample::time);
    file_.flush();
  }
  put_values(file_, waiting_);
  std::uint64_t stride = stride_;
  for (const ThinnedRows& rows : rows_) stride = std::max<std::uint64_t>(stride, rows.stride());
  if (std::exchange(stride_, stride) != stride) {
    file_.set("series", kStride, static_cast<std::int64_t>(stride));
  }
}

void SeriesWriter::write_times() {
  put(file_, kSeriesTime, waiting_, &StateSample::time);
  waiting_.clear();
  any_ = stale_ = false;
}

void add_series(File& file, const std::vector<std::vector<StateSample>>& samples) {
  std::uint64_t rows = 1;
  for (const auto& of_rank : samples) rows = std::max<std::uint64_t>(rows, of_rank.size());
  make_series(file, samples.size(), rows, Layout::chunked);
  for (std::uint64_t rank = 0; rank < samples.size(); ++rank) {
    SeriesStretch padded{rank, 0, samples[rank]};
    padded.samples.resize(
        rows);  // every cell is stored: readers tell by it that the extents are true
    put_values(file, {&padded, 1});
    put(file, kSeriesTime, {&padded, 1}, &StateSample::time);
  }
}

SeriesReader::SeriesReader(const File& file, std::uint64_t ranks) : file_(file) {
  if (!file.has(kSeriesTime.name)) return;
  const auto extents = file.extents(kSeriesTime);
  if (extents[0] != ranks || extents[1] == 0 || extents[1] > kMostSeriesRows) {
    file.refuse("its series are not those of its ranks");
  }
  static_cast<void>(file.stored_size(kSeriesTime, extents));
  for (const SeriesColumn& column : kSeriesColumns) {
    static_cast<void>(file.stored_size(column.variable, extents));
  }
  static_cast<void>(file.stored_size(kSeriesReasons, extents));
  static_cast<void>(file.stored_size(kSeriesJob, extents));
  rows_ = extents[1];
  const std::vector<std::string> told = file.attributes("series");
  if (std::ranges::find(told, kStride) == told.end()) return;
  const auto stride = file.get<std::int64_t>("series", kStride);
  if (stride < 1 || stride > kMostStride) file.refuse("its attribute series@stride is impossible");
  stride_ = static_cast<std::uint64_t>(stride);
}

std::vector<StateSample> SeriesReader::of(std::uint64_t rank) const {
  if (rows_ == 0) return {};
  const Extents start{rank, 0}, count{1, rows_};
  std::vector<StateSample> samples(rows_);
  const auto get = [&]<class T>(const Variable& variable, T StateSample::*member) {
    std::vector<T> values(samples.size());
    file_.read(variable, start, count, values.data());
    for (std::size_t i = 0; i < values.size(); ++i) samples[i].*member = values[i];
  };
  get(kSeriesTime, &StateSample::time);
  for (const SeriesColumn& column : kSeriesColumns) get(column.variable, column.member);
  get(kSeriesReasons, &StateSample::throttle_reasons);
  get(kSeriesJob, &StateSample::job);
  std::erase_if(samples, [](const StateSample& sample) { return std::isnan(sample.time); });
  const bool times = std::ranges::all_of(
      samples, [](const StateSample& sample) { return std::isfinite(sample.time); });
  if (!times) file_.refuse("a time of its series is infinite");
  std::ranges::stable_sort(
      samples, {}, [](const StateSample& sample) { return std::tuple(sample.job, sample.time); });
  return samples;
}

}  // namespace gembench::inline results
