#include "harness/cli/progress_bar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gembench::inline cli {
namespace {

constexpr int kWidest = 30, kNarrowest = 5;

}  // namespace

std::string progress_bar(const ProgressState& state, int columns) {
  const double share = std::clamp(std::isnan(state.share) ? 0 : state.share, 0.0, 1.0);
  const std::string before = fmt::format("gembench: {} [", state.what);
  const std::string after = fmt::format("] {:3.0f} %{}{}", std::floor(share * 100),
                                        state.rest.empty() ? "" : ", ", state.rest);
  const int room = columns - static_cast<int>(before.size() + after.size());
  const int width = std::clamp(room, kNarrowest, kWidest);
  const auto full = static_cast<std::size_t>(std::floor(share * width));
  std::string line = before + std::string(full, '#') +
                     std::string(static_cast<std::size_t>(width) - full, '-') + after;
  return line.substr(0, static_cast<std::size_t>(std::max(columns, 0)));
}

}  // namespace gembench::inline cli
