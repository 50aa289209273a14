#pragma once

#include <string>

#include "placement/loads/trace.hpp"
#include "placement/speeds/profile.hpp"

namespace gembench::inline run {

/// Usage error, naming both, for a profile of another model, dtype or number of experts a rank than
/// a run's: what would be planned with it holds for nothing that is measured. `path` names it.
void require_profile_of(const std::string& path, const Profile& profile, const std::string& shape,
                        int slots);

/// A sentence on a profile whose model has other experts or top-k than the loads; else empty.
/// `slots`: experts a rank.
[[nodiscard]] std::string other_model_note(const std::string& path, const Profile& profile,
                                           const Trace& loads, int slots);

/// A sentence on loads that lie beyond those that the profile was measured at; else empty.
[[nodiscard]] std::string other_loads_note(const std::string& path, const Profile& profile,
                                           const Trace& loads);

/// A sentence on steps larger than engines run, which are totals of a run more likely; else empty.
[[nodiscard]] std::string totals_note(const std::string& path, const Trace& loads);

}  // namespace gembench::inline run
