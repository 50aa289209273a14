#pragma once

#include <string_view>

#include "placement/strategies/strategy.hpp"

namespace gembench::inline exchange {

/// Plans by name. Beside the names of the table:
///  `file:PATH`     a placement in any format of exchange/placement_formats.hpp, which must have
///                  the layers and experts of the trace and the ranks of the profile (usage error)
///  `relabel:NAME`  what NAME gives, with ranks' rows exchanged to suit their speeds (relabel.hpp)
[[nodiscard]] Placement plan_by_name(std::string_view name, const PlanInput& input);
/// Rejects a name that plan_by_name does not know, before anything is planned. Opens no file.
void require_known_name(std::string_view name);
/// The options that such a name uses; usage error as in require_known_name.
[[nodiscard]] Takes takes_of(std::string_view name);

/// Whether what plan_by_name(name, ...) gives depends on the trace. Of a file: it does not.
[[nodiscard]] bool looks_at_loads(std::string_view name);
/// The file in a name, `file:PATH` itself or inside relabel:...; empty: none.
[[nodiscard]] std::string_view file_in(std::string_view name);

}  // namespace gembench::inline exchange
