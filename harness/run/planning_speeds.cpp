#include "harness/run/planning_speeds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <list>
#include <vector>

#include "placement/base/error.hpp"
#include "placement/speeds/reliability.hpp"
#include "results/file_kind.hpp"

namespace gembench::inline run {
namespace {

constexpr std::size_t kMostProfiles = 256;

std::vector<std::string> devices_of(const ProfileFile& file) {
  const auto found = file.rank_facts.find("device_id");
  return found == file.rank_facts.end() ? std::vector<std::string>() : found->second;
}

/// The profiles in a folder, by name.
std::vector<std::filesystem::path> profiles_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    if (at->path().extension() == ".h5" && schema_of(at->path()) == kProfileSchema)
      found.push_back(at->path());
  if (error)
    throw usage_error(fmt::format("{} cannot be read: {}", folder.string(), error.message()));
  std::ranges::sort(found);
  return found;
}

/// Older profiles with their ranks in the order of the new one.
class History {
 public:
  History(const std::vector<std::string>& names, const ProfileFile& now) : now_(now) {
    for (const std::string& name : names) {
      if (!std::filesystem::is_directory(name)) {
        add(name);
        continue;
      }
      for (const auto& path : profiles_in(name)) {
        try {
          add(path);
        } catch (const Error& error) {
          // Of other ranks, models, ...
          if (error.code() != ExitCode::usage || profiles_.size() == kMostProfiles) throw;
        }
      }
    }
  }
  [[nodiscard]] const std::vector<OlderProfile>& older() const { return older_; }

 private:
  void add(const std::filesystem::path& path) {
    const ProfileFile file = read_profile_file(path);
    const auto copies = [&](const Profile& other) { return other.latency == file.profile.latency; };
    if (copies(now_.profile) || std::ranges::any_of(profiles_, copies)) return;
    if (profiles_.size() == kMostProfiles)
      throw Error(
          ExitCode::usage,
          fmt::format("--history has more than {} profiles: name the latest", kMostProfiles));
    const OlderProfile one{file.profile,
                           same_ranks(devices_of(file), devices_of(now_), now_.profile.ranks)};
    static_cast<void>(reliability({now_.profile, {}}, {&one, 1}));
    profiles_.push_back(file.profile);
    older_.push_back({profiles_.back(), one.rank_then});
  }

  const ProfileFile& now_;
  std::list<Profile> profiles_;  // older_ points here
  std::vector<OlderProfile> older_;
};

}  // namespace

PlanningSpeeds planning_speeds(const SpeedOptions& options, const ProfileFile& measured) {
  PlanningSpeeds found{measured.profile, {}};
  if (options.speeds == "measured") return found;
  const History history(options.history, measured);
  const Reliability reliable = reliability({measured.profile, measured.samples}, history.older());
  if (reliable.passing == 0) return found;
  Shrunk shrunk = shrink(measured.profile, reliable.rho);
  found.profile = std::move(shrunk.profile);
  found.shrinkage = {reliable.rho, reliable.profiles, shrunk.largest, std::sqrt(reliable.passing)};
  return found;
}

std::string to_text(const Shrinkage& shrinkage) {
  return fmt::format(
      "speeds shrunk by their reliability: rho {:.2f} on {} profile{}, ranks by at most {:.1f} %",
      shrinkage.rho, shrinkage.profiles,
      shrinkage.profiles == 1 ? " (noise of its rounds alone)" : "s", shrinkage.largest * 100);
}

}  // namespace gembench::inline run
