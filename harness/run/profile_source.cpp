#include "harness/run/profile_source.hpp"

#include <fmt/format.h>

#include <utility>

#include "harness/cli/option_values.hpp"
#include "placement/base/error.hpp"
#include "placement/speeds/builtin_profiles.hpp"
#include "placement/speeds/builtin_slowdowns.hpp"

namespace gembench::inline run {

ProfileFile load_profile_file(const ProfileSource& from, const Trace& trace, std::string& source) {
  ProfileFile found;
  const bool stated = from.profile.empty() || from.profile.starts_with(kBuiltin);
  if (stated && !from.ranks) {
    throw usage_error(std::string(from.command) +
                      " needs --ranks N, or --profile FILE, which knows it");
  }
  if (from.profile.empty()) {
    Profile equal = equal_ranks(*from.ranks, std::int64_t{trace.max_tokens_in_step()} * trace.topk);
    for (double& seconds : equal.latency) seconds *= 1e-6;
    source = "equally fast ranks at 1 us a token, none measured";
    found.profile = std::move(equal);
    return found;
  }
  source = from.profile;
  if (stated) {
    found.profile = builtin_profile(from.profile.substr(kBuiltin.size()), *from.ranks);
    source += fmt::format(" ({}, measured by others)", found.profile.model);
    return found;
  }
  found = read_profile_file(from.profile);
  const Profile& profile = found.profile;
  if (from.ranks && *from.ranks != profile.ranks) {
    throw usage_error(fmt::format("{} holds {} ranks, not {}: drop --ranks", from.profile,
                                  profile.ranks, *from.ranks));
  }
  if (profile.clock == "wall" || profile.clock == "cpu-time") {
    source += fmt::format(" (clock {})", profile.clock);
  }
  return found;
}

Profile load_profile(const ProfileSource& from, const Trace& trace, std::string& source) {
  return load_profile_file(from, trace, source).profile;
}

void slow_down(Profile& profile, const std::vector<double>& slowdown, double floor) {
  apply_slowdown(profile, slowdown, floor);
  for (std::size_t rank = 0; rank < slowdown.size(); ++rank) {
    profile.overhead[rank] *= slowdown[rank];
  }
}

}  // namespace gembench::inline run
