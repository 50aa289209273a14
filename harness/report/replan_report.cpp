#include "harness/report/replan_report.hpp"

#include <fmt/format.h>

namespace gembench::inline report {

std::string replan_report(const Replan& replan, double horizon) {
  if (replan.swaps.empty()) {
    return fmt::format("# no swap pays within {:g} steps: the placement stays as it is\n", horizon);
  }
  const double cost = replan.cost();
  std::string text = fmt::format("# {:>5} {:>14} {:>14} {:>14} {:>9} {:>12}\n", "layer",
                                 "expert@rank", "and", "saves us/step", "moves ms", "pays after");
  for (const ExpertSwap& swap : replan.swaps) {
    const auto other = swap.other < 0 ? fmt::format("empty@{}", swap.other_rank)
                                      : fmt::format("{}@{}", swap.other, swap.other_rank);
    text += fmt::format("  {:>5} {:>14} {:>14} {:>14.3f} {:>9} {:>12}\n", swap.layer,
                        fmt::format("{}@{}", swap.expert, swap.rank), other, swap.gain * 1e6,
                        cost > 0 ? fmt::format("{:.3f}", swap.cost * 1e3) : "unknown",
                        cost > 0 ? fmt::format("{:.0f} steps", swap.cost / swap.gain) : "unknown");
  }
  text += fmt::format("# {} swaps save {:.1f} us a step of {:.1f}", replan.swaps.size(),
                      (replan.before - replan.after) * 1e6, replan.before * 1e6);
  return text + (cost > 0 ? fmt::format(" and take {:.3f} ms\n", cost * 1e3)
                          : "; the cost of the moves is unknown: add --bandwidth\n");
}

}  // namespace gembench::inline report
