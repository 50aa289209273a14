#pragma once

#include <string>
#include <vector>

#include "harness/cli/command_page.hpp"

namespace gembench::inline cli {

/// gembench(1) in roff, with every option of every command. Says the version and no date, so that
/// the same sources give the same page.
[[nodiscard]] std::string manual_page(const std::vector<CommandPage>& commands,
                                      const std::string& version);

}  // namespace gembench::inline cli
