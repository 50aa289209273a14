#include "harness/report/profile_history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <system_error>
#include <utility>

#include "harness/run/same_run.hpp"
#include "harness/statistics/interval.hpp"
#include "placement/base/error.hpp"
#include "placement/base/statistics.hpp"
#include "placement/speeds/profile_verdict.hpp"

namespace gembench::inline report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 100'000;  // of a folder that are looked at
constexpr std::size_t kMostNotes = 5;          // about files that are left out
constexpr double kLeastNoise = 1e-4;           // of a device's speed, if nothing else is known

/// What is kept of a profile.
struct Kept {
  ProfileHistory::Entry entry;
  std::vector<std::string> devices;            ///< [rank]
  std::vector<double> slower, noises;          ///< [rank] against its peers; uncertainty, one sigma
  std::vector<double> seconds = {};            ///< [rank] at the largest load
  std::optional<RunDifference> products = {};  ///< how experts were computed, if in another way
};

/// [rank] names that stay the same over time; several ranks of one device are counted.
std::vector<std::string> devices_of(const ProfileFile& file) {
  const auto ids = file.rank_facts.find("device_id"), hosts = file.rank_facts.find("host");
  std::vector<std::string> names;
  if (ids == file.rank_facts.end() || hosts == file.rank_facts.end()) return names;
  std::map<std::string, int> ranks;
  for (std::size_t rank = 0; rank < ids->second.size(); ++rank) {
    const std::string& id = ids->second[rank];
    const bool gpu = id.starts_with("GPU-") || id.starts_with("MIG-");
    std::string name = gpu ? id : fmt::format("{} CPUs {}", hosts->second[rank], id);
    const int before = ranks[name]++;
    if (before > 0) name += fmt::format(" #{}", before + 1);
    names.push_back(std::move(name));
  }
  return names;
}

/// Why a profile cannot be part of any history; empty: it can.
std::string unfit(const ProfileFile& file) {
  if (file.measured.empty()) return "it does not say when it was measured";
  if (file.rank_facts.contains("anonymous"))
    return "it is --anonymous, so its devices have no names";
  if (devices_of(file).empty()) return "it does not name its devices";
  return "";
}

/// Why times of `old` cannot be compared with those of `now`.
std::string other_times(const ProfileFile& old, const ProfileFile& now) {
  const auto by = [](const char* what, const std::string& then, const std::string& today) {
    return fmt::format("it was measured by {} {}, and not {}", what,
                       then.empty() ? "unknown" : then, today);
  };
  if (old.profile.device != now.profile.device)
    return by("device", old.profile.device, now.profile.device);
  if (old.program != now.program) return by("program", old.program, now.program);
  if (old.profile.slowdown != now.profile.slowdown) return "it emulates other slowdowns";
  return "";
}

/// Why `old` is not part of the history of `now`.
std::string misfit(const ProfileFile& old, const ProfileFile& now, Past past) {
  if (std::string why = unfit(old); !why.empty()) return why;
  try {
    require_comparable(old.profile, now.profile);
  } catch (const Error& error) {
    return error.what();
  }
  if (old.profile.load_points != now.profile.load_points) return "it was measured at other loads";
  if (old.measured > now.measured) return "it is later than the profile that is judged";
  return past == Past::of_itself ? other_times(old, now) : "";
}

Kept keep(const std::string& name, const ProfileFile& file) {
  Kept kept{{name, file.measured}, devices_of(file), slower_than_peers(file.profile), {}};
  for (const RankSpeed& speed : judge_speeds(file.profile, file.samples)) {
    kept.noises.push_back(speed.noise / kNormal);
  }
  for (int rank = 0; rank < file.profile.ranks; ++rank) {
    kept.seconds.push_back(file.profile.at(rank, file.profile.load_points.size() - 1));
  }
  return kept;
}

bool is_copy(const Kept& a, const Kept& b) {
  return a.entry.measured == b.entry.measured && a.devices == b.devices;
}

/// The newest names of a folder; the rest is in `left_out`.
std::vector<fs::path> files_in(const std::string& folder, std::vector<std::string>& left_out) {
  std::error_code error;
  std::vector<fs::path> files;
  std::size_t entries = 0;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (++entries > kMostEntries) break;
    std::error_code unknown;
    if (entry->path().extension() == ".h5" && entry->is_regular_file(unknown)) {
      files.push_back(entry->path());
    }
  }
  if (error) {
    throw usage_error(
        fmt::format("{} cannot be read: {}: name a folder with profiles", folder, error.message()));
  }
  std::ranges::sort(files);
  if (entries > kMostEntries || files.size() > kMostProfiles) {
    left_out.push_back(fmt::format("{} holds more than {} profiles: only the last by name are read",
                                   folder, kMostProfiles));
  }
  if (files.size() > kMostProfiles) {
    files.erase(files.begin(), files.end() - static_cast<std::ptrdiff_t>(kMostProfiles));
  }
  return files;
}

std::vector<Kept> read_all(const ProfileFile& now, const std::string& now_file,
                           const std::string& folder, Past past,
                           std::vector<std::string>& left_out) {
  std::vector<Kept> kept;
  for (const fs::path& path : files_in(folder, left_out)) {
    std::error_code unknown;
    if (!now_file.empty() && fs::equivalent(path, now_file, unknown)) continue;
    const auto leave_out = [&](const std::string& why) {
      left_out.push_back(fmt::format("{} is left out: {}", path.string(), why));
    };
    try {
      const ProfileFile old = read_profile_file(path);
      const std::string why = misfit(old, now, past);
      if (why.empty()) {
        kept.push_back(keep(path.string(), old));
        kept.back().products = other_known_products(old.rank_facts, now.rank_facts);
      } else {
        leave_out(why);
      }
    } catch (const Error& error) {
      leave_out(error.what());
    }
  }
  kept.push_back(keep(now_file.empty() ? "this profile" : now_file, now));
  // Those of the same time in any order, but the judged one last: of copies the last one stays.
  std::ranges::stable_sort(kept, {}, [](const Kept& one) { return one.entry.measured; });
  std::vector<Kept> different;
  for (Kept& one : kept) {
    if (!different.empty() && is_copy(different.back(), one)) {
      left_out.push_back(fmt::format("{} is left out: it holds the same profile as {}",
                                     different.back().entry.file, one.entry.file));
      different.back() = std::move(one);
    } else {
      different.push_back(std::move(one));
    }
  }
  return different;
}

/// One standard deviation of what is not noise between profiles but within each.
double noise_within(const std::vector<Kept>& profiles) {
  std::vector<double> noises;
  for (const Kept& one : profiles) {
    for (const double noise : one.noises) {
      if (std::isfinite(noise)) noises.push_back(noise);
    }
  }
  return noises.empty() ? kLeastNoise : std::max(kLeastNoise, quantile(noises, 0.5));
}

/// On profiles whose experts were computed in another way than those of the judged one.
std::vector<std::string> notes_on_products(const std::vector<Kept>& profiles) {
  const auto other = [](const Kept& one) { return one.products.has_value(); };
  const auto last = std::find_if(profiles.rbegin(), profiles.rend(), other);
  if (last == profiles.rend()) return {};
  const auto count = std::ranges::count_if(profiles, other);
  return {fmt::format("{} of {} earlier profile{} are others than now: {} in {}, {} now",
                      last->products->what, count, count == 1 ? "" : "s", last->products->earlier,
                      last->entry.file, last->products->mine)};
}

std::string in_words(const DeviceHistory& device, const LevelShift& shift,
                     const std::vector<ProfileHistory::Entry>& profiles) {
  const auto percent = [](double log_ratio) { return std::expm1(log_ratio) * 100; };
  const auto measured = [&](std::size_t index) { return profiles[device.at[index]].measured; };
  return fmt::format(
      "{}{} became {:.1f} % {} than its own past, against its peers, between {} and {} (95 % CI "
      "{:+.1f} .. {:+.1f} %; {} profiles before, {} since)",
      device.device, device.rank ? fmt::format(" (rank {})", *device.rank) : std::string(),
      std::abs(percent(shift.change)), shift.change > 0 ? "slower" : "faster",
      measured(shift.first - 1), measured(shift.first), percent(shift.low), percent(shift.high),
      shift.before, shift.since);
}

}  // namespace

void require_folder(const std::string& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return;
  throw usage_error(fmt::format("--history {} is no folder: name one with profiles", folder));
}

ProfileHistory read_history(const std::string& folder, const ProfileFile& now,
                            const std::string& now_file, Past past) {
  require_folder(folder);
  if (const std::string why = unfit(now); !why.empty()) {
    throw usage_error(fmt::format("{} has no history: {}; measure it again",
                                  now_file.empty() ? "the profile" : now_file, why));
  }
  ProfileHistory history;
  history.folder = folder;
  const auto profiles = read_all(now, now_file, folder, past, history.left_out);
  history.notes = notes_on_products(profiles);
  std::map<std::string, DeviceHistory> devices;
  for (std::size_t at = 0; at < profiles.size(); ++at) {
    history.profiles.push_back(profiles[at].entry);
    for (std::size_t rank = 0; rank < profiles[at].devices.size(); ++rank) {
      const double slower = profiles[at].slower[rank];
      DeviceHistory& device = devices[profiles[at].devices[rank]];
      if (at + 1 == profiles.size()) device.rank = static_cast<int>(rank);
      device.seconds.push_back(profiles[at].seconds[rank]);
      if (!std::isfinite(slower) || slower <= -1) continue;
      device.at.push_back(at);
      device.slower.push_back(slower);
    }
  }
  std::vector<std::vector<double>> series;
  for (auto& [name, device] : devices) {
    device.device = name;
    auto& values = series.emplace_back();
    for (const double slower : device.slower) values.push_back(std::log1p(slower));
    history.devices.push_back(std::move(device));
  }
  const double within = noise_within(profiles);
  history.noise = std::max(within, shared_noise(series));
  const auto shifts = level_shifts(series, within);
  for (std::size_t i = 0; i < shifts.size(); ++i) history.devices[i].changes = shifts[i];
  return history;
}

std::vector<std::string> notes_on_files(const ProfileHistory& history) {
  std::vector<std::string> sentences = history.notes;
  for (std::size_t i = 0; i < history.left_out.size() && i < kMostNotes; ++i) {
    sentences.push_back(history.left_out[i]);
  }
  if (history.left_out.size() > kMostNotes) {
    sentences.push_back(fmt::format("{} more files of {} are left out",
                                    history.left_out.size() - kMostNotes, history.folder));
  }
  return sentences;
}

std::vector<std::string> findings(const ProfileHistory& history) {
  std::vector<std::string> sentences;
  for (const DeviceHistory& device : history.devices) {
    for (const LevelShift& shift : device.changes) {
      if (std::abs(std::expm1(shift.change)) >= kLeastShift) {
        sentences.push_back(in_words(device, shift, history.profiles));
      }
    }
  }
  const std::string which = fmt::format("in {} profiles since {}", history.profiles.size(),
                                        history.profiles.front().measured);
  if (history.profiles.size() < kLeastBefore + kLeastSince) {
    sentences.push_back(
        fmt::format("the history is too short: {} of the {} profiles that a change "
                    "takes",
                    history.profiles.size(), kLeastBefore + kLeastSince));
  } else if (sentences.empty()) {
    sentences.push_back(fmt::format(
        "no device changed against its peers by {:g} % and beyond noise (one sigma {:.1f} %) {}",
        kLeastShift * 100, history.noise * 100, which));
  }
  for (const std::string& note : notes_on_files(history)) sentences.push_back(note);
  return sentences;
}

}  // namespace gembench::inline report
