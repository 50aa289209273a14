#include "harness/report/launches.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/report/run_config.hpp"
#include "harness/report/verdict.hpp"
#include "harness/run/same_run.hpp"

namespace gembench::inline report {
namespace {

/// Whether two files are of the same launch: a copy adds no information.
bool same_launch(const LaunchRun& a, const LaunchRun& b) {
  const auto mean = [](const PlacementSummary& row) { return row["step_mean"]; };
  return fact_of(a.info, "started") == fact_of(b.info, "started") &&
         std::ranges::equal(a.comparison.placements, b.comparison.placements, {}, mean, mean);
}

bool loads_must_agree(const LaunchRun& a, const LaunchRun& b) {
  const auto config = nlohmann::json::parse(a.info.config, nullptr, false);
  return a.info.seed == b.info.seed ||
         (config.is_object() && config.contains("routing") && config["routing"] == "trace");
}

std::optional<RunDifference> other_labels(const LaunchRun& a, const LaunchRun& b) {
  if (a.info.labels == b.info.labels) return std::nullopt;
  return RunDifference{"placements", fmt::format("{}", fmt::join(a.info.labels, ",")),
                       fmt::format("{}", fmt::join(b.info.labels, ","))};
}

PooledRuns pooled_runs(const std::vector<const LaunchRun*>& launches) {
  PooledRuns runs;
  for (const LaunchRun* launch : launches) {
    runs.paths.push_back(launch->path);
    runs.seeds.push_back(launch->info.seed);
    runs.in_sample |= planned_in_sample(launch->info);
  }
  for (const LaunchRun* launch : launches) {
    const LaunchRun& one = *launches.front();
    const auto other = other_known_products(one.info.rank_facts, launch->info.rank_facts);
    if (!other) continue;
    runs.notes.push_back(fmt::format("{} of {} and {} differ ({} and {})", other->what, one.path,
                                     launch->path, other->earlier, other->mine));
    break;  // the first says enough
  }
  const Comparison& first = launches.front()->comparison;
  for (std::size_t pair = 0; pair < first.pairs.size(); ++pair) {
    std::vector<Difference> found;
    for (const LaunchRun* launch : launches) {
      found.push_back(launch->comparison.pairs[pair].step_time);
    }
    runs.pairs.push_back({first.label(first.pairs[pair].placement),
                          first.label(first.pairs[pair].reference),
                          pooled_difference(found, static_cast<int>(first.pairs.size()))});
  }
  return runs;
}

}  // namespace

PooledDifference pooled_difference(std::span<const Difference> launches, int comparisons) {
  PooledDifference pooled;
  pooled.launches = static_cast<int>(launches.size());
  const auto n = static_cast<double>(launches.size());
  double sum = 0, sum_of_means = 0, squares = 0, errors = 0;
  bool errors_known = true;
  for (const Difference& launch : launches) {
    sum += std::log1p(launch.typical);
    sum_of_means += std::log1p(launch.mean);
    errors_known = errors_known && launch.error;
    errors += launch.error ? *launch.error * *launch.error : 0;
  }
  const double centre = sum / n;
  for (const Difference& launch : launches) {
    squares += (std::log1p(launch.typical) - centre) * (std::log1p(launch.typical) - centre);
  }
  pooled.typical = std::expm1(centre);
  pooled.mean = std::expm1(sum_of_means / n);
  pooled.between = launches.size() > 1 ? std::sqrt(squares / (n - 1)) : NAN;
  if (errors_known) pooled.within = std::sqrt(errors / n);
  if (pooled.launches < kLeastLaunches || !std::isfinite(centre)) return pooled;
  const double deviation = std::max(pooled.between, pooled.within.value_or(0));
  const double half = student_quantile(n - 1, 1 - 0.025 / comparisons) * deviation / std::sqrt(n);
  pooled.low = std::expm1(centre - half);
  pooled.high = std::expm1(centre + half);
  return pooled;
}

LaunchRun launch_of(const std::string& path, const RunReader& file, const Comparison& comparison) {
  LaunchRun launch{path, file.completed(), !outputs_are_wrong(file), {}, comparison};
  const RunInfo& info = file.info();
  launch.info.shape = info.shape;
  launch.info.labels = info.labels;
  launch.info.clock = info.clock;
  launch.info.config = info.config;
  launch.info.seed = info.seed;
  launch.info.facts = info.facts;
  launch.info.rank_facts = info.rank_facts;
  return launch;
}

std::optional<std::string> why_not_pooled(const LaunchRun& a, const LaunchRun& b) {
  auto other = other_command(a.info, b.info.shape.ranks, b.info.config, {"seed"});
  if (!other) other = other_labels(a, b);
  if (!other) other = other_machine(a.info, b.info);
  if (!other && loads_must_agree(a, b)) {
    other = other_loads(a.info, fact_of(b.info, "trace_digest"));
  }
  if (!other) return std::nullopt;
  return fmt::format("{} of {} and {} differ ({} and {})", other->what, a.path, b.path,
                     other->earlier, other->mine);
}

Pooling pool(const std::vector<LaunchRun>& launches) {
  Pooling pooling;
  std::vector<std::vector<const LaunchRun*>> groups;
  for (const LaunchRun& launch : launches) {
    if (launch.info.shape.ranks == 1 || launch.comparison.pairs.empty() || launches.size() == 1) {
      continue;  // nothing to compare, so nothing to pool
    }
    if (!launch.completed) {
      pooling.not_pooled.push_back(fmt::format(
          "{} is not complete and not pooled: continue its run with --resume", launch.path));
      continue;
    }
    if (!launch.correct) {
      pooling.not_pooled.push_back(fmt::format(
          "{} is not pooled: its outputs are wrong, so its times mean nothing", launch.path));
      continue;
    }
    const auto group = std::ranges::find_if(
        groups, [&](const auto& others) { return !why_not_pooled(*others.front(), launch); });
    if (group == groups.end()) {
      groups.push_back({&launch});
      continue;
    }
    const auto twin = std::ranges::find_if(
        *group, [&](const LaunchRun* other) { return same_launch(*other, launch); });
    if (twin == group->end()) {
      group->push_back(&launch);
    } else {
      pooling.not_pooled.push_back(fmt::format("{} is not pooled: it holds the same launch as {}",
                                               launch.path, (*twin)->path));
    }
  }
  for (const auto& group : groups) {
    if (group.size() > 1) pooling.groups.push_back(pooled_runs(group));
  }
  if (groups.size() > 1) {
    pooling.not_pooled.push_back(
        fmt::format("not all files are pooled, only launches of one configuration are: {}",
                    *why_not_pooled(*groups[0].front(), *groups[1].front())));
  }
  return pooling;
}

}  // namespace gembench::inline report
