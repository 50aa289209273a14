#include "harness/report/profile_history.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <utility>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "tests/results/example.hpp"

namespace gembench {
namespace {

constexpr int kRanks = 4, kDays = 10;

/// A day's profile of four GPUs: each is on another rank every day, and GPU-2 takes `change` times
/// as long from the eighth day on.
ProfileFile profile_on(int day, double change) {
  Random random(static_cast<std::uint64_t>(day));
  ProfileFile file = example::profile_file(kRanks, random);
  file.samples = {};
  file.measured = fmt::format("2026-11-{:02}T00:00:00Z", day);
  for (int rank = 0; rank < kRanks; ++rank) {
    const int gpu = (rank + day) % kRanks;
    file.rank_facts["device_id"][sz(rank)] = fmt::format("GPU-{}", gpu);
    const double noise = 1 + 0.01 * (random.uniform() - 0.5);
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t at = sz(rank) * 4 + i;
      file.profile.latency[at] =
          1e-3 * static_cast<double>(i + 1) * noise * (gpu == 2 && day >= 8 ? change : 1);
      file.profile.spread[at] = 1e-3 * file.profile.latency[at];
    }
  }
  return file;
}

struct Profiles {
  example::Folder folder;
  explicit Profiles(double change) {
    for (int day = 1; day < kDays; ++day) {
      write_profile(folder / fmt::format("{}.h5", day), profile_on(day, change), false);
    }
  }
  [[nodiscard]] ProfileHistory read(const ProfileFile& now) const {
    return read_history(folder.path().string(), now, "");
  }
};

TEST(ProfileHistory, a_gpu_is_known_by_its_uuid_whatever_its_rank) {
  const ProfileHistory history = Profiles(1.1).read(profile_on(kDays, 1.1));
  EXPECT_TRUE(history.left_out.empty());
  ASSERT_EQ(history.profiles.size(), static_cast<std::size_t>(kDays));
  EXPECT_EQ(history.profiles.back().file, "this profile");
  ASSERT_EQ(history.devices.size(), static_cast<std::size_t>(kRanks));
  for (const DeviceHistory& device : history.devices) {
    EXPECT_EQ(device.changes.size(), device.device == "GPU-2" ? 1u : 0u) << device.device;
    EXPECT_EQ(device.slower.size(), static_cast<std::size_t>(kDays));
  }
  const LevelShift& change = history.devices[2].changes.at(0);
  EXPECT_EQ(change.first, 7u);
  EXPECT_NEAR(std::expm1(change.change), 0.1, 0.01);
  const auto said = findings(history);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_TRUE(said[0].starts_with("GPU-2 (rank 0) became ")) << said[0];
}

TEST(ProfileHistory, a_certain_change_too_small_to_matter_is_not_named) {
  const ProfileHistory history = Profiles(1.015).read(profile_on(kDays, 1.015));
  EXPECT_TRUE(findings(history)[0].starts_with("no device changed")) << findings(history)[0];
}

TEST(ProfileHistory, files_that_do_not_belong_are_left_out_with_the_reason) {
  const Profiles profiles(1);
  const auto add = [&](const char* name, const std::function<void(ProfileFile&)>& change) {
    ProfileFile file = profile_on(3, 1);
    file.measured = "2026-11-03T12:00:00Z";
    change(file);
    write_profile(profiles.folder / name, file, false);
  };
  add("a.h5", [](ProfileFile& f) { f.profile.clock = "cpu-time"; });
  add("b.h5", [](ProfileFile& f) { f.profile.load_points[1] = 17; });
  add("c.h5", [](ProfileFile& f) { f.measured.clear(); });
  add("d.h5", [](ProfileFile& f) { f.rank_facts["anonymous"].assign(kRanks, "yes"); });
  add("e.h5", [](ProfileFile& f) { f.measured = "2027"; });
  add("f.h5", [](ProfileFile& f) { f.measured = "2026-11-03T00:00:00Z"; });
  std::ofstream(profiles.folder / "g.h5") << "no HDF5";
  std::ofstream(profiles.folder / "h.txt") << "not looked at";
  const ProfileHistory history = profiles.read(profile_on(kDays, 1));
  EXPECT_EQ(history.profiles.size(), static_cast<std::size_t>(kDays));
  const char* why[] = {"clock", "other loads", "does not say when", "--anonymous",
                       "later", "g.h5",        "same profile"};
  ASSERT_EQ(history.left_out.size(), std::size(why));
  for (std::size_t i = 0; i < std::size(why); ++i) {
    EXPECT_NE(history.left_out[i].find(why[i]), std::string::npos) << history.left_out[i];
  }
  EXPECT_TRUE(findings(history).back().starts_with("2 more files"));
}

TEST(ProfileHistory, times_are_compared_with_those_of_the_same_software_and_slowdown) {
  const Profiles profiles(1);
  const ProfileFile now = profile_on(kDays, 1);
  const auto left_out = [&](const ProfileFile& probe, Past past) {
    const auto history = read_history(profiles.folder.path().string(), probe, "", past);
    return history.left_out.empty() ? "" : history.left_out.front();
  };
  EXPECT_EQ(left_out(now, Past::of_itself), "");
  ProfileFile device = now, program = now, slowdown = now;
  device.profile.device += " 2";
  program.program = "gembench 9";
  slowdown.profile.slowdown[1] = 2;
  for (const auto& [file, why] : {std::pair{device, "measured by device cpu"},
                                  {program, "by program gembench 0, and not gembench 9"},
                                  {slowdown, "other slowdowns"}}) {
    EXPECT_NE(left_out(file, Past::of_itself).find(why), std::string::npos) << why;
    EXPECT_EQ(left_out(file, Past::of_peers), "") << why;
  }
}

TEST(ProfileHistory, profiles_that_compute_experts_in_other_ways_are_kept_and_it_is_said) {
  const Profiles profiles(1);
  ProfileFile then = profile_on(kDays - 1, 1), now = profile_on(kDays, 1);
  now.rank_facts["expert_products"].assign(kRanks, "cutlass");
  EXPECT_TRUE(profiles.read(now).notes.empty()) << "the others do not say";
  then.rank_facts["expert_products"].assign(kRanks, "cublas");
  write_profile(profiles.folder / "9.h5", then, true);
  const ProfileHistory history = profiles.read(now);
  EXPECT_TRUE(history.left_out.empty());
  const std::string said = findings(history).back();
  EXPECT_TRUE(said.starts_with("expert products of 1 earlier profile are others than now: cublas "))
      << said;
  EXPECT_TRUE(said.ends_with("9.h5, cutlass now")) << said;
}

TEST(ProfileHistory, a_profile_without_names_or_time_has_none) {
  const Profiles profiles(1);
  ProfileFile now = profile_on(kDays, 1);
  now.rank_facts["anonymous"].assign(kRanks, "yes");
  EXPECT_THROW(static_cast<void>(profiles.read(now)), Error);
  EXPECT_THROW(static_cast<void>(read_history("nowhere", profile_on(kDays, 1), "")), Error);
}

}  // namespace
}  // namespace gembench
