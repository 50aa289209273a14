#include "placement/base/known_names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "placement/base/plain_text.hpp"

namespace gembench::inline base {
namespace {

constexpr std::size_t kLettersPerSlip = 3;
constexpr std::size_t kLongest = 64;  // of a name that is compared: longer ones are no slips

/// Slips between two texts: the optimal string alignment distance.
std::size_t slips(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string as_known(std::string_view name, const std::vector<std::string>& known) {
  const std::string typed = lower_case(name);
  const auto found = std::ranges::find(known, typed, lower_case);
  return found == known.end() || std::ranges::find(known, name) != known.end() ? std::string(name)
                                                                               : *found;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > kLongest) return {};
  const std::string typed = lower_case(name);
  std::size_t fewest = std::numeric_limits<std::size_t>::max();
  const std::string* closest = nullptr;
  for (const std::string& candidate : known) {
    const bool begins = typed.size() >= kLettersPerSlip && lower_case(candidate).starts_with(typed);
    const std::size_t count = begins ? 1 : slips(typed, lower_case(candidate));
    const std::size_t most = std::max<std::size_t>(1, typed.size() / kLettersPerSlip);
    if (count > most || count >= fewest || count >= typed.size()) continue;
    fewest = count;
    closest = &candidate;
  }
  return closest == nullptr ? std::string() : fmt::format(" (did you mean '{}'?)", *closest);
}

}  // namespace gembench::inline base
