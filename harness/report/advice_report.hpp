#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/run/advice.hpp"
#include "harness/run/planning_speeds.hpp"

namespace gembench::inline report {

/// What the advice rests on, for the header.
struct AdviceContext {
  std::string trace;
  int steps = 0;
  std::int64_t requests = 0;  ///< independent ones; 0: not known
  int ranks = 0;
  std::string speeds;  ///< source of the speeds, and which of them were drawn
  std::optional<Shrinkage> shrinkage;
  std::string against;             ///< the strategy that runs today
  double least_gain = 0;           ///< share
  std::vector<std::string> notes;  ///< sentences
  std::string file, use;           ///< written placement, and how the engine loads it; or empty
};

/// Table or JSON, as `format` says; the last line of the table is the advice.
[[nodiscard]] std::string advice_report(const AdviceContext& context, const Advice& advice,
                                        const std::string& format);

}  // namespace gembench::inline report
