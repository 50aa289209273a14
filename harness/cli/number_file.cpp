#include "harness/cli/number_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <sstream>

#include "placement/base/error.hpp"
#include "placement/files/input_file.hpp"

namespace gembench::inline cli {

std::vector<double> read_numbers(const std::string& path, const std::string& what) {
  constexpr std::uintmax_t kLargest = 1 << 22;
  std::string text = read_input_file(path, kLargest);
  for (char& c : text)
    c = c == ',' || c == ';' || std::isspace(static_cast<unsigned char>(c)) ? ' ' : c;
  std::istringstream in(text);
  std::vector<double> values;
  for (double value = 0; in >> value;) values.push_back(value);
  const bool sound = std::all_of(values.begin(), values.end(),
                                 [](double v) { return std::isfinite(v) && v >= 0; });
  if (!in.eof() || !sound)
    throw usage_error(fmt::format("{} holds something else than {} from 0", path, what));
  return values;
}

}  // namespace gembench::inline cli
