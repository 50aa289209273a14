#include "moe_layer/cuda/product_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::string_view kUpTo = " up to ", kUnit = " assignments", kNext = ", ";
constexpr std::size_t kMostRanges = 64;  // one for every power of 2

/// What is before `end`, which is dropped too; all of it where there is none.
std::string_view take_until(std::string_view& text, std::string_view end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(text.size(), at + end.size()));
  return taken;
}

}  // namespace

std::vector<std::int64_t> ProductChoice::sizes_up_to(std::int64_t most) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 1; size < most; size *= 2) sizes.push_back(size);
  if (most > 0) sizes.push_back(most);
  return sizes;
}

void ProductChoice::decide(const Comm& comm, std::span<const Timed> timed,
                           std::span<const std::uint8_t> usable) {
  constexpr double kNano = 1e9;
  // Below that the times of two runs may name other ways, and the ways differ in their last bits.
  constexpr double kLead = 0.05;
  const std::size_t ways = names_.size();
  std::vector<std::int64_t> sums;  // ns of every way at each load, then ranks that lack the way
  for (const Timed& one : timed) {
    for (const double seconds : one.seconds) sums.push_back(std::llround(seconds * kNano));
  }
  for (const std::uint8_t can : usable) sums.push_back(can != 0 ? 0 : 1);
  comm.sum_in_place(sums);
  const auto lacking = std::span(sums).last(ways);
  const auto first = sz(std::ranges::find(lacking, 0) - lacking.begin());
  ranges_.clear();
  for (std::size_t load = 0; load < timed.size(); ++load) {
    const auto seconds = std::span(sums).subspan(load * ways, ways);
    std::size_t best = first;
    for (std::size_t way = first; way < ways; ++way) {
      if (lacking[way] == 0 && seconds[way] < seconds[best]) best = way;
    }
    const bool leads =
        static_cast<double>(seconds[best]) <= (1 - kLead) * static_cast<double>(seconds[first]);
    ranges_.push_back({timed[load].pairs, leads ? best : first});
  }
  if (ranges_.empty()) fix(first);
}

bool ProductChoice::fix(const std::string& words) {
  std::vector<Range> ranges;
  std::string_view left = words;
  while (!left.empty() && ranges.size() < kMostRanges) {
    std::string_view part = take_until(left, kNext);
    const auto name = std::ranges::find(names_, take_until(part, kUpTo));
    if (name == names_.end()) return false;
    Range range{0, sz(name - names_.begin())};
    if (!part.empty()) {
      const bool whole = part.ends_with(kUnit);
      const std::string_view number = take_until(part, kUnit);
      const char* const end = number.data() + number.size();
      const auto [stop, error] = std::from_chars(number.data(), end, range.pairs);
      if (error != std::errc() || stop != end || range.pairs < 1 || !part.empty() || !whole) {
        return false;
      }
    }
    // A way without a limit is the only one.
    if (!ranges.empty() && (ranges.back().pairs == 0 || range.pairs <= ranges.back().pairs)) {
      return false;
    }
    ranges.push_back(range);
  }
  if (ranges.empty() || !left.empty()) return false;
  ranges_ = std::move(ranges);
  return true;
}

std::size_t ProductChoice::way(std::int64_t pairs) const {
  const auto range = std::ranges::lower_bound(ranges_, pairs, {}, &Range::pairs);
  return range == ranges_.end() ? ranges_.back().way : range->way;
}

std::vector<std::size_t> ProductChoice::taken() const {
  std::vector<std::size_t> ways;
  for (const Range& range : ranges_) ways.push_back(range.way);
  std::ranges::sort(ways);
  ways.erase(std::unique(ways.begin(), ways.end()), ways.end());
  return ways;
}

std::string ProductChoice::words() const {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    if (i + 1 < ranges_.size() && ranges_[i + 1].way == ranges_[i].way) continue;
    const std::string& name = names_[ranges_[i].way];
    parts.push_back(ranges_[i].pairs == 0
                        ? name
                        : fmt::format("{}{}{}{}", name, kUpTo, ranges_[i].pairs, kUnit));
  }
  return fmt::format("{}", fmt::join(parts, kNext));
}

}  // namespace gembench::inline cuda
