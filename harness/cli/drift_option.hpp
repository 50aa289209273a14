#pragma once

#include <string>
#include <vector>

namespace gembench::inline cli {

/// A drift that is injected into a run on purpose; always labelled.
struct InjectedDrift {
  enum class Kind {
    slow,  ///< the emulated slowdowns move on by one rank, so a different rank is slow
    task   ///< experts change roles: every layer's loads are permuted among its experts
  };
  Kind kind = Kind::slow;
  int step = 0;  ///< first measured step after the change
};

/// "slow@40,task@60"; usage error for anything else.
[[nodiscard]] std::vector<InjectedDrift> parse_drift(const std::string& text);
/// The text that parse_drift() reads; "" for none.
[[nodiscard]] std::string to_text(const std::vector<InjectedDrift>& drifts);

}  // namespace gembench::inline cli
