#include "placement/search/search_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "placement/base/checked_sizes.hpp"

namespace gembench::inline search {
namespace {

constexpr std::int64_t kCells = 1024;                           // of the index into a curve
constexpr std::int64_t kMaxTableCells = std::int64_t{1} << 25;  // 128 MiB over all ranks
constexpr double kMostUnits = 1 << 30;
constexpr std::int32_t kAnyLoad = std::numeric_limits<std::int32_t>::max();

/// Largest load before a rank's curve first rises above `seconds`. `k`: the first load point above
/// it for any smaller value, kept from call to call as seconds grow.
std::int32_t first_crossing(const CostModel& model, int rank, double seconds, std::size_t& k) {
  const auto load_points = model.load_points();
  const auto latency = model.latency(rank);
  while (k < load_points.size() && latency[k] <= seconds) ++k;
  if (k == 0) return -1;
  const auto right = std::min(k, load_points.size() - 1);
  const auto slope = (latency[right] - latency[right - 1]) /
                     static_cast<double>(load_points[right] - load_points[right - 1]);
  if (slope <= 0) return kAnyLoad;  // only beyond the last load point
  const auto from = k - 1;
  // Rounded down: a caller relies on never getting too large a value.
  const auto load =
      (static_cast<double>(load_points[from]) + (seconds - latency[from]) / slope) * (1 - 1e-12);
  return load >= static_cast<double>(kAnyLoad) ? kAnyLoad : static_cast<std::int32_t>(load);
}

void require_sound(const Trace& trace) {
  if (trace.steps < 1) throw usage_error("the trace has 0 steps; at least 1 is needed to plan");
  const auto cells = checked_product({trace.steps, trace.layers, trace.experts}, "the trace");
  if (trace.tokens.size() != cells)
    throw usage_error(fmt::format("the trace holds {} counts where {} belong; record it again",
                                  trace.tokens.size(), cells));
}

}  // namespace

RankCost::RankCost(std::vector<Line> lines, std::int64_t max_load)
    : max_load_(max_load), lines_(std::move(lines)) {
  for (const auto& line : lines_) rises_ = rises_ && line.slope >= 0;
  while ((max_load >> shift_) >= kCells) ++shift_;
  lines_.push_back({std::numeric_limits<double>::infinity(), 0, 0});
  std::uint16_t line = 0;
  for (std::int64_t cell = 0; cell <= max_load >> shift_; ++cell) {
    while (lines_[line + 1U].start <= static_cast<double>(cell << shift_)) ++line;
    line_of_.push_back(line);
  }
}

double RankCost::least_where_it_falls(std::int64_t load) const {
  auto least = (*this)(load);
  for (auto i = lines_.size() - 1; i-- > 0 && lines_[i].start > static_cast<double>(load);)
    least = std::min(least, lines_[i].base);
  return least;
}

RankCost::Line RankCost::line_below(std::int64_t load) const {
  // The lower convex hull of the ends of all lines, left to right.
  const auto most = static_cast<double>(max_load_);
  std::vector<Line> hull;  // slope: to the next
  const auto add = [&](double x, double seconds) {
    while (hull.size() > 1 &&
           (seconds - hull.back().base) * (hull.back().start - hull[hull.size() - 2].start) <=
               (hull.back().base - hull[hull.size() - 2].base) * (x - hull.back().start))
      hull.pop_back();
    hull.push_back({x, seconds, 0});
  };
  for (const auto& line : lines_)
    if (line.start < most) add(line.start, line.base);
  add(most, (*this)(max_load_));
  for (std::size_t i = 0; i + 1 < hull.size(); ++i)
    hull[i].slope = (hull[i + 1].base - hull[i].base) / (hull[i + 1].start - hull[i].start);
  std::size_t at = 0;
  while (at + 2 < hull.size() && hull[at + 1].start <= static_cast<double>(load)) ++at;
  return hull[at];
}

std::span<const RankCost::Line> RankCost::lines(double from, double to) const {
  std::size_t first = 0;
  while (lines_[first + 1].start <= from) ++first;
  auto end = first + 1;
  while (lines_[end].start <= to) ++end;
  return std::span(lines_).subspan(first, end - first);
}

SearchCosts::SearchCosts(const CostModel& model, const Trace& trace, int slots)
    : model_(model), ranks_(static_cast<std::size_t>(model.ranks())), cost_(ranks_) {
  require_sound(trace);
  std::int32_t most_tokens = 0;
  std::int32_t least_tokens = 0;
  std::int64_t most_in_step = 0;
  for (int step = 0; step < trace.steps; ++step)
    for (int layer = 0; layer < trace.layers; ++layer) {
      std::int64_t sum = 0;
      for (auto tokens : trace.loads(step, layer)) {
        most_tokens = std::max(most_tokens, tokens);
        least_tokens = std::min(least_tokens, tokens);
        sum += tokens;
      }
      most_in_step = std::max(most_in_step, sum);
    }
  if (least_tokens < 0) throw usage_error("the trace has counts below zero; record it again");
  const auto most = std::min(std::int64_t{most_tokens} * slots, most_in_step);
  if (most > kAnyLoad)
    throw usage_error(fmt::format(
        "a rank could get {} tokens in one step, more than gem can count; make steps smaller",
        most));
  if (by_rank())
    make_experts(trace, most_tokens, slots);
  else
    make_tokens(most);
  narrow_ = !by_rank() && most_tokens <= std::numeric_limits<std::int16_t>::max();
  invert();
}

void SearchCosts::make_tokens(std::int64_t most) {
  max_load_ = most;
  const auto load_points = model_.load_points();
  for (int rank = 0; rank < model_.ranks(); ++rank) {
    const auto latency = model_.latency(rank);
    std::vector<RankCost::Line> lines;
    double slope = 0;
    for (std::size_t k = 1; k < load_points.size(); ++k) {
      slope =
          (latency[k] - latency[k - 1]) / static_cast<double>(load_points[k] - load_points[k - 1]);
      lines.push_back({static_cast<double>(load_points[k - 1]), latency[k - 1], slope});
    }
    // As in the model: a falling last piece is not continued.
    lines.push_back(
        {static_cast<double>(load_points.back()), latency.back(), std::max(slope, 0.0)});
    cost_[static_cast<std::size_t>(rank)] = RankCost(std::move(lines), max_load_);
  }
}

std::int32_t SearchCosts::units_of(std::size_t rank, std::int32_t tokens) const {
  const auto units = model_.expert_seconds(static_cast<int>(rank), tokens) / unit_;
  return static_cast<std::int32_t>(std::llround(units));
}

void SearchCosts::make_experts(const Trace& trace, std::int32_t most_tokens, int slots) {
  // The most that any rank's experts could cost: all of them at the most expensive count.
  std::vector<char> seen(static_cast<std::size_t>(most_tokens) + 1, 0);
  for (auto tokens : trace.tokens) seen[static_cast<std::size_t>(tokens)] = 1;
  double dearest = 0;
  for (std::int32_t tokens = 0; tokens <= most_tokens; ++tokens)
    for (int rank = 0; seen[static_cast<std::size_t>(tokens)] && rank < model_.ranks(); ++rank)
      dearest = std::max(dearest, model_.expert_seconds(rank, tokens));
  if (dearest > 0) unit_ = dearest * slots / kMostUnits;
  max_load_ = static_cast<std::int64_t>(kMostUnits) + slots;
  for (std::size_t r = 0; r < ranks_; ++r)
    cost_[r] = RankCost({{0, model_.seconds(static_cast<int>(r), 0), unit_}}, max_load_);
  if (std::int64_t{most_tokens} + 1 > kMaxTableCells / static_cast<std::int64_t>(ranks_)) return;
  units_width_ = static_cast<std::size_t>(most_tokens) + 1;
  units_.reserve(units_width_ * ranks_);
  for (std::size_t r = 0; r < ranks_; ++r)
    for (std::int32_t tokens = 0; tokens <= most_tokens; ++tokens)
      units_.push_back(seen[static_cast<std::size_t>(tokens)] ? units_of(r, tokens) : 0);
}

void SearchCosts::invert() {
  double highest = 0;
  lowest_ = std::numeric_limits<double>::infinity();
  for (std::size_t r = 0; r < ranks_; ++r) {
    const auto latency = model_.latency(static_cast<int>(r));
    lowest_ = std::min(lowest_,
                       by_rank() ? cost_[r](0) : *std::min_element(latency.begin(), latency.end()));
    highest = std::max({highest, cost_[r](0), cost_[r](max_load_)});
  }
  const auto width = std::max(highest - lowest_, 0.0) / static_cast<double>(kLevels);
  per_second_ = width > 0 ? 1 / width : 0;
  within_.resize((kLevels + 1) * ranks_);
  for (std::size_t r = 0; r < ranks_; ++r) {
    std::size_t load_point = 0;
    for (std::size_t level = 0; level <= kLevels; ++level) {
      const auto seconds = lowest_ + width * static_cast<double>(level);
      auto& load = within_[r * (kLevels + 1) + level];
      if (!by_rank()) {
        load = first_crossing(model_, static_cast<int>(r), seconds, load_point);
        continue;
      }
      const auto units = std::floor((seconds - cost_[r](0)) / unit_);
      load = units < 0 ? -1
                       : static_cast<std::int32_t>(std::min(units, static_cast<double>(kAnyLoad)));
    }
  }
}

}  // namespace gembench::inline search
