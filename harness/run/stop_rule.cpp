#include "harness/run/stop_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "harness/statistics/interval.hpp"

namespace gembench::inline run {
namespace {

constexpr int kLeastSteps = 24;

}  // namespace

bool is_checkpoint(int blocks, int steps) {
  if (blocks < kLeastBlocks || steps < kLeastSteps) return false;
  const auto n = static_cast<unsigned>(blocks);
  return std::has_single_bit(n) || (n % 3 == 0 && std::has_single_bit(n / 3));
}

StopWatch::StopWatch(const StopRule& rule, int placements)
    : rule_(rule), seconds_(static_cast<std::size_t>(placements)) {}

void StopWatch::add(const Segment& segment, const std::vector<double>& step_time, int ranks) {
  const auto block = static_cast<std::size_t>(segment.block);
  auto& sums = seconds_[static_cast<std::size_t>(segment.placement)];
  sums.resize(std::max(sums.size(), block + 1), 0);
  for (auto own = step_time.begin(); own != step_time.end(); own += ranks) {
    sums[block] += *std::max_element(own, own + ranks);
  }
}

std::optional<double> StopWatch::widest() const {
  std::optional<double> widest;
  std::vector<std::int64_t> blocks(seconds_.empty() ? 0 : seconds_[0].size());
  std::iota(blocks.begin(), blocks.end(), 0);
  for (std::size_t p = 1; p < seconds_.size(); ++p) {
    const Difference d =
        paired_difference(seconds_[0], seconds_[p], blocks, static_cast<int>(seconds_.size()) - 1);
    if (!d.low) return std::nullopt;
    widest = std::max(widest.value_or(0), (*d.high - *d.low) / 2);
  }
  return widest;
}

std::optional<std::string> StopWatch::ends(int steps, double seconds) const {
  const int blocks = seconds_.empty() ? 0 : static_cast<int>(seconds_[0].size());
  if (rule_.precision > 0 && is_checkpoint(blocks, steps)) {
    if (const auto width = widest(); width && *width <= rule_.precision) {
      return fmt::format("every interval is within +-{:.2g} points, as --precision {:g} asks",
                         *width * 100, rule_.precision * 100);
    }
  }
  if (rule_.max_seconds > 0 && seconds >= rule_.max_seconds) {
    return fmt::format("{:.0f} s of measuring were over (--max-seconds {:g})", seconds,
                       rule_.max_seconds);
  }
  return std::nullopt;
}

}  // namespace gembench::inline run
