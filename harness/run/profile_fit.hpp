#pragma once

#include <string>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline run {

/// Usage error, naming both, for a profile whose model, dtype or number of experts per rank differ
/// from the run's, since plans made with it would not apply to the run. `path` names it.
void require_profile_of(const std::string& path, const Profile& profile, const std::string& shape,
                        int slots);

/// A sentence on a profile whose model has a different number of experts or top-k than the loads;
/// else empty. `slots`: experts per rank.
[[nodiscard]] std::string other_model_note(const std::string& path, const Profile& profile,
                                           const Trace& loads, int slots);

/// A sentence on loads beyond those of the profile; else empty.
[[nodiscard]] std::string other_loads_note(const std::string& path, const Profile& profile,
                                           const Trace& loads);

/// A sentence on steps that are larger than an engine's and are probably the totals of a run; else
/// empty.
[[nodiscard]] std::string totals_note(const std::string& path, const Trace& loads);

}  // namespace gembench::inline run
