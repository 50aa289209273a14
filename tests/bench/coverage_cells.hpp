#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>

#include "harness/statistics/summary_interval.hpp"

namespace gembench {

/// Intervals of one kind of data and one count.
struct Cell {
  int sets = 0, printed = 0, held = 0;
  double width = 0, pairs = 0;

  void add(const std::optional<Interval>& interval, double truth, int count) {
    ++sets;
    pairs += count;
    if (!interval) return;
    ++printed;
    held += interval->low <= truth && truth <= interval->high ? 1 : 0;
    width += (interval->high - interval->low) / 2;
  }
  void print(const std::string& of, const std::string& kind, const std::string& n) const {
    fmt::print(
        "{{\"of\": \"{}\", \"kind\": \"{}\", \"n\": \"{}\", \"sets\": {}, \"printed\": {}, "
        "\"held\": {}, \"half_width\": {:.6g}, \"pairs\": {:.1f}}}\n",
        of, kind, n, sets, printed, held, printed ? width / printed : 0.0, pairs / sets);
  }
};

/// Of what is printed of one placement: means, quantiles, shares.
void summary_coverage(int sets);
/// Of differences pooled over launches.
void launch_coverage(int sets);

}  // namespace gembench
