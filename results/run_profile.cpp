#include "results/run_profile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "placement/cost/cost_choice.hpp"
#include "results/run_schema.hpp"
#include "results/whole_arrays.hpp"

namespace gembench::inline results {
using h5::extent;
using h5::Extents;
using h5::File;
using h5::Variable;

void add_profile(File& file, const Profile& profile) {
  validate(profile);
  const Extents rank{static_cast<std::uint64_t>(profile.ranks)},
      curve{rank[0], profile.load_points.size()};
  add_scale(file, schema::kLoadPoint, profile.load_points);
  add(file, schema::kProfileLatency, curve, profile.latency);
  file.make(schema::kProfileAfter, curve);
  add(file, schema::kProfileSpread, curve, profile.spread);
  add(file, schema::kProfileOverhead, rank, profile.overhead);
  add(file, schema::kProfileSlowdown, rank, profile.slowdown);
  if (profile.slots > 0) file.set("/", "profile_slots", std::int64_t{profile.slots});
  if (const ActiveSweep& sweep = profile.active; !sweep.empty()) {
    add_scale(file, schema::kActiveLoad, sweep.loads);
    add_scale(file, schema::kActive, sweep.active);
    add(file, schema::kProfileActive, {rank[0], sweep.loads.size(), sweep.active.size()},
        sweep.latency);
  }
  add_routed(file, profile, schema::kProfileRouted, schema::kProfileRoutedTokens);
  file.set("/", "profile_model", profile.model);
  file.set("/", "profile_device", profile.device);
  file.set("/", "profile_clock", profile.clock);
}

Profile read_profile_of(const File& file, int ranks) {
  Profile profile;
  if (!file.has(schema::kLoadPoint.name)) return profile;
  const auto load_points = file.extents(schema::kLoadPoint).front();
  const Extents rank{static_cast<std::uint64_t>(ranks)}, curve{rank[0], load_points};
  profile.ranks = ranks;
  profile.load_points = file.read<std::int64_t>(schema::kLoadPoint, {load_points});
  profile.latency = file.read<double>(schema::kProfileLatency, curve);
  profile.spread = file.read<double>(schema::kProfileSpread, curve);
  profile.overhead = file.read<double>(schema::kProfileOverhead, rank);
  profile.slowdown = file.read<double>(schema::kProfileSlowdown, rank);
  profile.slots = read_count(file, "profile_slots");
  if (file.has(schema::kProfileActive.name)) {
    const auto extents = file.extents(schema::kProfileActive);
    profile.active.loads = file.read<std::int64_t>(schema::kActiveLoad, {extents[1]});
    profile.active.active = file.read<std::int32_t>(schema::kActive, {extents[2]});
    profile.active.latency =
        file.read<double>(schema::kProfileActive, {rank[0], extents[1], extents[2]});
  }
  read_routed(file, schema::kProfileRouted, schema::kProfileRoutedTokens, profile);
  profile.model = file.get<std::string>("/", "profile_model");
  profile.device = file.get<std::string>("/", "profile_device");
  profile.clock = file.get<std::string>("/", "profile_clock");
  file.expect_valid(profile);
  return profile;
}

void add_routed(File& file, const Profile& profile, const Variable& latency,
                const Variable& tokens) {
  const RoutedPoints& routed = profile.routed;
  if (routed.empty()) return;
  const std::uint64_t ranks = h5::extent(profile.ranks), slots = h5::extent(profile.slots);
  add_index(file, schema::kRouted, routed.points);
  add_index(file, schema::kRoutedSlot, slots);
  add(file, latency, {ranks, routed.points}, routed.latency);
  add(file, tokens, {ranks, routed.points, slots}, routed.tokens);
  const CostChoice choice = choose_cost(profile);
  for (const auto& [error, name] :
       {std::pair{choice.sum, "routed_tokens"}, std::pair{choice.per_expert, "routed_experts"}}) {
    if (!error) continue;
    file.set("/", std::string(name) + "_median", error->median);
    file.set("/", std::string(name) + "_worst", error->worst);
  }
}

void read_routed(const File& file, const Variable& latency, const Variable& tokens,
                 Profile& profile) {
  if (!file.has(latency.name)) return;
  const auto ranks = static_cast<std::uint64_t>(profile.ranks);
  const auto points = file.extents(latency)[1];
  profile.routed.points = points;
  profile.routed.latency = file.read<double>(latency, {ranks, points});
  profile.routed.tokens = file.read<std::int32_t>(tokens, {ranks, points, file.extents(tokens)[2]});
}

int read_count(const File& file, std::string_view name) {
  const auto names = file.attributes("/");
  if (std::ranges::find(names, name) == names.end()) return 0;
  const auto count = file.get<std::int64_t>("/", name);
  if (count < 0 || count > std::numeric_limits<int>::max()) {
    file.refuse(fmt::format("its attribute {} is impossible", name));
  }
  return static_cast<int>(count);
}

}  // namespace gembench::inline results
