#include "placement/exchange/plan_by_name.hpp"

#include <string>

#include "placement/base/error.hpp"
#include "placement/exchange/placement_formats.hpp"
#include "placement/strategies/relabel.hpp"

namespace gembench::inline exchange {
namespace {

constexpr std::string_view kFile = "file:";
constexpr std::string_view kRelabel = "relabel:";

}  // namespace

void require_known_name(std::string_view name) {
  static_cast<void>(takes_of(name));
}

Takes takes_of(std::string_view name) {
  if (name.starts_with(kRelabel)) return takes_of(name.substr(kRelabel.size()));
  if (name.starts_with(kFile)) return {.split = true};
  try {
    return find_strategy(name).takes;
  } catch (const Error& unknown) {
    throw usage_error(std::string(unknown.what()) + ", file:PATH or relabel:NAME");
  }
}

bool looks_at_loads(std::string_view name) {
  if (name.starts_with(kRelabel)) return true;
  return !name.starts_with(kFile) && name != "linear" && name != "round-robin" && name != "random";
}

std::string_view file_in(std::string_view name) {
  while (name.starts_with(kRelabel)) name.remove_prefix(kRelabel.size());
  return name.starts_with(kFile) ? name.substr(kFile.size()) : std::string_view();
}

Placement plan_by_name(std::string_view name, const PlanInput& input) {
  if (name.starts_with(kRelabel)) {
    const auto plain = plan_by_name(name.substr(kRelabel.size()), input);
    require_no_repeats(plain);
    auto placement = relabel(plain, input.trace, input.cost, input.watch);
    placement.strategy = name;
    return placement;
  }
  if (!name.starts_with(kFile)) return find_strategy(name).plan(input);
  const auto path = name.substr(kFile.size());
  auto placement = read_placement_for(path, input.trace, input.cost.ranks());
  placement.strategy = name;
  return placement;
}

}  // namespace gembench::inline exchange
