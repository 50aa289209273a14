#pragma once

#include <string>

namespace gembench::inline cli {

/// Quoted if a shell would interpret it.
[[nodiscard]] std::string shell_word(const std::string& word);

}  // namespace gembench::inline cli
