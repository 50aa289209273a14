#pragma once

#include <string>
#include <vector>

namespace gembench::inline cli {

/// Numbers from 0 in a text file, separated by commas, semicolons and white space. Usage error
/// naming the file and `what` for any other content, and for files over 4 MiB.
[[nodiscard]] std::vector<double> read_numbers(const std::string& path, const std::string& what);

}  // namespace gembench::inline cli
