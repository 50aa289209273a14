#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "placement/trace.hpp"

namespace gembench {

/// Something that changes while a run is measured, on purpose and always labelled.
struct Drift {
  enum class Kind {
    slow,  ///< the emulated slowdowns move on by one rank: another rank is the slow one
    task   ///< experts change roles: every layer's loads are dealt anew to its experts
  };
  Kind kind = Kind::slow;
  int step = 0;  ///< first measured step after the change
};

/// "slow@40,task@60"; usage error for anything else.
[[nodiscard]] std::vector<Drift> parse_drift(const std::string& text);
/// The same text again; "" for none.
[[nodiscard]] std::string to_text(const std::vector<Drift>& drifts);

/// The slowdown of every rank at a measured step, [rank].
[[nodiscard]] std::vector<double> slowdown_at(const std::vector<double>& slowdown,
                                              const std::vector<Drift>& drifts, int step);
/// Exchanges experts in the steps after every `task`, the same way in counts and ids. Depends on
/// seed and layer; the model is as skewed as before.
void change_tasks(Trace& measured, const std::vector<Drift>& drifts, std::uint64_t seed);

}  // namespace gembench
