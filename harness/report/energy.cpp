#include "harness/report/energy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "placement/base/index.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline report {
namespace {

/// A segment that was measured, and when.
struct MeasuredSegment {
  int placement = 0, job = 0;
  double begin = 0, end = 0;
  double tokens = 0, assignments = 0, step_seconds = 0;
};

/// Those of which the file says when they ran.
std::vector<MeasuredSegment> segments_of(const RunReader& file,
                                         const std::vector<std::vector<double>>& step_seconds) {
  const RunInfo& info = file.info();
  const std::size_t layers = sz(info.shape.layers), experts = sz(info.shape.experts);
  std::vector<MeasuredSegment> found;
  for (int segment = 0; segment < info.shape.segments; ++segment) {
    const SegmentNotes& notes = file.notes()[sz(segment)];
    if (notes.job < 0 || !(notes.end > notes.begin) || !file.measured(segment)) continue;
    const Segment& at = info.segments[sz(segment)];
    MeasuredSegment one{at.placement, notes.job, notes.begin, notes.end};
    for (std::size_t step = sz(at.first_step); step < sz(at.first_step + at.steps); ++step) {
      const auto first =
          info.expert_tokens.begin() + static_cast<std::ptrdiff_t>(step * layers * experts);
      one.assignments += static_cast<double>(std::accumulate(
          first, first + static_cast<std::ptrdiff_t>(layers * experts), std::int64_t{0}));
      one.step_seconds += step_seconds[sz(at.placement)][step];
    }
    one.tokens = one.assignments / (static_cast<double>(layers) * std::max(1, info.model.topk));
    found.push_back(one);
  }
  return found;
}

/// [GPU][job] its samples; ranks that share a GPU read the same one.
std::vector<std::vector<std::vector<StateSample>>> series_of(const RunReader& file, int jobs) {
  const RunInfo& info = file.info();
  const auto uuids = info.rank_facts.find("gpu_uuid");
  std::vector<std::vector<std::vector<StateSample>>> all;
  std::set<std::string> seen;
  for (int rank = 0; rank < info.shape.ranks; ++rank) {
    if (uuids != info.rank_facts.end() && !seen.insert(uuids->second[sz(rank)]).second) continue;
    auto& jobs_of_gpu = all.emplace_back(sz(jobs));
    for (const StateSample& sample : file.series(rank)) {
      if (sample.job >= 0 && sample.job < jobs) jobs_of_gpu[sz(sample.job)].push_back(sample);
    }
  }
  return all;
}

/// Sums of what is known.
struct Sum {
  double joules = 0, seconds = 0, tokens = 0, assignments = 0, step_seconds = 0;
  bool counted = true;

  void add(const MeasuredSegment& what, double used) {
    joules += used;
    seconds += what.end - what.begin;
    tokens += what.tokens;
    assignments += what.assignments;
    step_seconds += what.step_seconds;
  }
  [[nodiscard]] EnergyUse use() const {
    return {joules, seconds, step_seconds, joules / tokens, joules / assignments};
  }
};

}  // namespace

std::optional<GpuEnergy> energy_in(std::span<const StateSample> samples, double begin, double end,
                                   std::size_t least) {
  const auto first = std::ranges::lower_bound(samples, begin, {}, &StateSample::time);
  const auto last = std::ranges::upper_bound(samples, end, {}, &StateSample::time);
  if (last - first < 2) return std::nullopt;
  const std::span<const StateSample> inside(first, last);
  const double length = end - begin;
  std::vector<StateSample> known;
  std::ranges::copy_if(inside, std::back_inserter(known),
                       [](const auto& one) { return std::isfinite(one.energy); });
  const auto usable = [&] {
    return known.size() >= std::max<std::size_t>(least, 2) &&
           known.back().time > known.front().time;
  };
  if (usable() && std::ranges::is_sorted(known, {}, &StateSample::energy)) {
    const double power =
        (known.back().energy - known.front().energy) / (known.back().time - known.front().time);
    return GpuEnergy{power * length, known.size(), true};
  }
  known.clear();
  std::ranges::copy_if(inside, std::back_inserter(known),
                       [](const auto& one) { return std::isfinite(one.power); });
  if (!usable()) return std::nullopt;
  double joules = 0;
  for (std::size_t i = 1; i < known.size(); ++i) {
    joules += (known[i].power + known[i - 1].power) / 2 * (known[i].time - known[i - 1].time);
  }
  return GpuEnergy{joules / (known.back().time - known.front().time) * length, known.size(), false};
}

RunEnergy energy_of(const RunReader& file, const std::vector<std::vector<double>>& step_seconds) {
  const RunInfo& info = file.info();
  RunEnergy energy;
  energy.placements.resize(sz(info.shape.placements));
  if (info.gpu_before.empty()) return energy;
  const std::vector<MeasuredSegment> segments = segments_of(file, step_seconds);
  if (segments.empty()) return energy;
  int jobs = 0;
  std::vector<double> lengths;
  for (const MeasuredSegment& one : segments) {
    jobs = std::max(jobs, one.job + 1);
    lengths.push_back(one.end - one.begin);
  }
  energy.block_seconds = quantile(lengths, 0.5);
  const auto series = series_of(file, jobs);
  energy.gpus = static_cast<int>(series.size());
  energy.counted = true;
  const auto of_all = [&](int job, double begin, double end,
                          std::size_t least) -> std::optional<double> {
    double joules = 0;
    for (const auto& gpu : series) {
      const auto used = energy_in(gpu[sz(job)], begin, end, least);
      if (!used) return std::nullopt;
      joules += used->joules;
      energy.counted = energy.counted && used->counted;
    }
    return joules;
  };

  std::vector<MeasuredSegment> whole(sz(jobs), {-1, 0, INFINITY, -INFINITY});
  std::vector<Sum> sums(energy.placements.size());
  std::vector<double> tokens(energy.placements.size());
  for (const MeasuredSegment& one : segments) {
    MeasuredSegment& job = whole[sz(one.job)];
    job.job = one.job;
    job.begin = std::min(job.begin, one.begin);
    job.end = std::max(job.end, one.end);
    job.tokens += one.tokens;
    job.assignments += one.assignments;
    job.step_seconds += one.step_seconds;
    tokens[sz(one.placement)] += one.tokens;
    const auto joules = of_all(one.job, one.begin, one.end, kLeastSamplesOfBlock);
    if (joules) sums[sz(one.placement)].add(one, *joules);
  }
  for (std::size_t p = 0; p < sums.size(); ++p) {
    const bool enough = sums[p].tokens > 0 && sums[p].tokens >= kLeastCovered * tokens[p];
    if (enough) energy.placements[p] = sums[p].use();
  }
  Sum all;
  for (const MeasuredSegment& job : whole) {
    if (job.tokens <= 0) continue;
    const auto joules = of_all(job.job, job.begin, job.end, kLeastSamplesOfRun);
    if (!joules) return energy;
    all.add(job, *joules);
  }
  if (all.tokens > 0) energy.all = all.use();
  return energy;
}

std::string energy_line(const RunReader& file, const RunEnergy& energy) {
  if (!energy.all.known()) return {};
  const double gaps = 1 - energy.all.step_seconds / energy.all.seconds;
  std::vector<std::string> each;
  for (std::size_t p = 0; p < energy.placements.size(); ++p) {
    if (!energy.placements[p].known()) continue;
    each.push_back(
        fmt::format("{} {:.4g} J", file.info().labels[p], energy.placements[p].per_token));
  }
  const std::string by =
      each.empty()
          ? fmt::format("by placement not known: a block of {:.3g} s has fewer than {} readings",
                        energy.block_seconds, kLeastSamplesOfBlock)
          : fmt::format("by placement, of its blocks alone: {}", fmt::join(each, ", "));
  return fmt::format(
      "energy: {:.4g} J a token, {:.4g} J an assignment, {} of {} GPU{}; all placements together, "
      "{:.1f} s of which {:.0f} % is between steps; {}",
      energy.all.per_token, energy.all.per_assignment,
      energy.counted ? "by the counter" : "integral of the power", energy.gpus,
      energy.gpus == 1 ? "" : "s", energy.all.seconds, std::max(0.0, gaps) * 100, by);
}

}  // namespace gembench::inline report
