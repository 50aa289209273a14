#include "placement/speeds/builtin_profiles.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "placement/base/checked_sizes.hpp"
#include "placement/base/known_names.hpp"
#include "placement/speeds/builtin_latencies.hpp"

namespace gembench::inline speeds {
namespace {

constexpr std::string_view kLocal = "/local";
constexpr std::string_view kScaledModel = "hunyuan-a13b";
constexpr std::string_view kScaledFrom = "qwen3-235b-a22b";
constexpr int kScaledExperts = 64;  // two of kScaledFrom's in one
constexpr int kExpertsInOne = 2;
/// Up to here a step's tokens fit one tile of the kernels: other ranks' tokens weigh nothing.
constexpr int kFlatTokens = 64;

struct Entry {
  std::string name;
  const MeasuredModel* measured;
  bool scaled = false;
  bool local = false;
};

std::vector<Entry> entries() {
  std::vector<Entry> all;
  const auto add = [&](std::string_view model, const MeasuredModel& measured, bool scaled) {
    const auto name = fmt::format("{}/{}", measured.device, model);
    all.push_back({name, &measured, scaled, false});
    all.push_back({name + std::string(kLocal), &measured, scaled, true});
  };
  for (const auto& measured : measured_models()) {
    add(measured.model, measured, false);
    if (measured.model == kScaledFrom) add(kScaledModel, measured, true);
  }
  return all;
}

Entry find_entry(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& entry : entries()) {
    if (entry.name == name) return entry;
    if (!entry.local) names.push_back(entry.name);
  }
  throw usage_error(
      fmt::format("there is no built-in profile '{}'{}; choose one of {}, each also with {}", name,
                  did_you_mean(name, names), fmt::join(names, ", "), kLocal));
}

/// The row whose number of ranks is nearest by ratio, the smaller of two.
const MeasuredRow& nearest_row(const Entry& entry, int ranks) {
  const auto& rows = entry.measured->rows;
  const MeasuredRow* best = &rows.front();
  const auto ratio = [&](const MeasuredRow& row) {
    return static_cast<double>(std::max(row.ranks, ranks)) / std::min(row.ranks, ranks);
  };
  for (const auto& row : rows)
    if ((!entry.scaled || row.ranks <= kScaledExperts) && ratio(row) < ratio(*best)) best = &row;
  return *best;
}

/// Latency of a rank of `row`'s ranks, s, at kMeasuredTokens[i].
double seconds_at(const Entry& entry, const MeasuredRow& row, std::size_t i) {
  if (!entry.local || row.ranks == 1 || kMeasuredTokens[i] <= kFlatTokens)
    return row.latencies[i] * 1e-6;
  const auto flat = static_cast<std::size_t>(
      std::find(kMeasuredTokens.begin(), kMeasuredTokens.end(), kFlatTokens) -
      kMeasuredTokens.begin());
  const auto& alone = entry.measured->rows.front();
  const double growth = (alone.latencies[i] - alone.latencies[flat]) / row.ranks;
  return (row.latencies[flat] + growth) * 1e-6;
}

std::string model_text(const Entry& entry, const MeasuredRow& row) {
  const auto& measured = *entry.measured;
  const auto name = entry.scaled ? kScaledModel : measured.model;
  auto text = fmt::format("{} {}, {}, measured with {} rank{}", name, measured.dtype,
                          measured.kernel, row.ranks, row.ranks == 1 ? "" : "s");
  if (entry.scaled)
    text = fmt::format("{} {}, roofline scaled from {} with {} rank{}", name, measured.dtype,
                       kScaledFrom, row.ranks, row.ranks == 1 ? "" : "s");
  if (entry.local) text += ", own tokens only (estimated)";
  return text;
}

}  // namespace

std::vector<std::string> builtin_profile_names() {
  std::vector<std::string> names;
  for (const auto& entry : entries()) names.push_back(entry.name);
  return names;
}

Profile builtin_profile(std::string_view name, int ranks) {
  const auto entry = find_entry(name);
  if (ranks < 1) throw usage_error(fmt::format("a profile of {} ranks; give at least 1", ranks));
  const auto& row = nearest_row(entry, ranks);
  std::vector<double> curve;
  Profile profile;
  profile.ranks = ranks;
  profile.load_points.push_back(0);
  curve.push_back(0);
  const int divisor = row.ranks * (entry.scaled ? kExpertsInOne : 1);
  for (std::size_t i = 0; i < kMeasuredTokens.size(); ++i) {
    const int pairs = kMeasuredTokens[i] * entry.measured->topk;
    if (pairs % divisor != 0) continue;
    profile.load_points.push_back(pairs / divisor);
    curve.push_back(seconds_at(entry, row, i));
  }
  curve.front() = curve.at(1);
  const auto cells =
      checked_product({ranks, static_cast<std::int64_t>(curve.size())}, "the profile");
  profile.latency.reserve(cells);
  for (int rank = 0; rank < ranks; ++rank)
    profile.latency.insert(profile.latency.end(), curve.begin(), curve.end());
  profile.spread.assign(cells, 0);
  profile.overhead.assign(static_cast<std::size_t>(ranks), 0);
  profile.slowdown.assign(static_cast<std::size_t>(ranks), 1);
  profile.model = model_text(entry, row);
  profile.device = entry.measured->device == "l40s" ? "NVIDIA L40S" : "NVIDIA H100 SXM";
  profile.clock = "wall";
  return profile;
}

}  // namespace gembench::inline speeds
