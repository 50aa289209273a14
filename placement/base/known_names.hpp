#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gembench::inline base {

// Names that people type, against the rows of a table.

/// The row's name where only case differs, else `name` as it is.
[[nodiscard]] std::string as_known(std::string_view name, const std::vector<std::string>& known);

/// " (did you mean 'gem'?)" where one of `known` is close to `name`, else nothing. Close: at most
/// one slip (a letter wrong, missing, too many, or two exchanged) for every three letters, or the
/// beginning of a name. The closest, of several the first.
[[nodiscard]] std::string did_you_mean(std::string_view name,
                                       const std::vector<std::string>& known);

/// The names of a table's rows, in their order.
template <class Rows>
[[nodiscard]] std::vector<std::string> names_of_rows(const Rows& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.emplace_back(row.name);
  return names;
}

}  // namespace gembench::inline base
