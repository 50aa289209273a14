#include "harness/cli/drift_option.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/cli/option_values.hpp"
#include "placement/base/error.hpp"

namespace gembench::inline cli {

std::vector<InjectedDrift> parse_drift(const std::string& text) {
  std::vector<InjectedDrift> drifts;
  for (const std::string& part : split_list(text)) {
    const auto at = part.find('@');
    const std::string kind = part.substr(0, at);
    if (at == std::string::npos || (kind != "slow" && kind != "task")) {
      throw usage_error(fmt::format("--drift '{}' is unknown: write slow@STEP or task@STEP", part));
    }
    drifts.push_back({kind == "slow" ? InjectedDrift::Kind::slow : InjectedDrift::Kind::task,
                      parse_count("drift", part.substr(at + 1))});
  }
  return drifts;
}

std::string to_text(const std::vector<InjectedDrift>& drifts) {
  std::vector<std::string> parts;
  for (const InjectedDrift& drift : drifts) {
    parts.push_back(fmt::format("{}@{}", drift.kind == InjectedDrift::Kind::slow ? "slow" : "task",
                                drift.step));
  }
  return fmt::format("{}", fmt::join(parts, ","));
}

}  // namespace gembench::inline cli
