#pragma once

#include <string>

namespace gembench::inline cli {

/// How far a long part of the work is.
struct ProgressState {
  std::string what;  ///< "measuring"
  double share = 0;  ///< done, 0 to 1
  std::string rest;  ///< after the share: "12 s to go, linear"
};

/// "gembench: measuring [####------]  42 %, 12 s to go, linear" in at most `columns` characters: a
/// narrow terminal shortens the bar first and then the end.
[[nodiscard]] std::string progress_bar(const ProgressState& state, int columns);

}  // namespace gembench::inline cli
