#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/cli/command_page.hpp"

namespace gembench::inline cli {

inline constexpr const char* kShells[] = {"bash", "zsh", "fish"};

/// What makes a shell complete `gembench ...`: commands, every option of each, and the words that
/// an option takes where these are known; else files where it takes files. `shell`: one of kShells.
[[nodiscard]] std::string completion_script(std::string_view shell,
                                            const std::vector<CommandPage>& commands);

}  // namespace gembench::inline cli
