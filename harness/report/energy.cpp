#include "harness/report/energy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "harness/report/gpu_ranks.hpp"
#include "placement/base/index.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline report {
namespace {

constexpr double kReadingsUnsure = 2;  // an interval's energy is right within so many readings

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

/// What all GPUs used in an interval; unknown if that is not known of one of them.
struct AllGpus {
  double joules = 0;
  bool known = true, counted = true;
  std::size_t samples = std::numeric_limits<std::size_t>::max();  // of the GPU with the fewest

  void add(const std::optional<GpuEnergy>& one) {
    known = known && one.has_value();
    if (!one) return;
    joules += one->joules;
    counted = counted && one->counted;
    samples = std::min(samples, one->samples);
  }
};

/// Sums of what is known.
struct Sum {
  double joules = 0, seconds = 0, tokens = 0, assignments = 0, step_seconds = 0, unsure = 0;

  void add(const MeasuredSegment& what, const AllGpus& used) {
    joules += used.joules;
    seconds += what.end - what.begin;
    tokens += what.tokens;
    assignments += what.assignments;
    step_seconds += what.step_seconds;
    unsure += used.joules * kReadingsUnsure / static_cast<double>(used.samples);
  }
  [[nodiscard]] EnergyUse use() const {
    return {joules, seconds, step_seconds, joules / tokens, joules / assignments, unsure / joules};
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
  std::map<int, MeasuredSegment> jobs;  // from the first measured step to the last of each
  std::vector<double> lengths, tokens(energy.placements.size());
  for (const MeasuredSegment& one : segments) {
    MeasuredSegment& job =
        jobs.try_emplace(one.job, MeasuredSegment{one.placement, one.job, one.begin, one.end})
            .first->second;
    job.begin = std::min(job.begin, one.begin);
    job.end = std::max(job.end, one.end);
    job.tokens += one.tokens;
    job.assignments += one.assignments;
    job.step_seconds += one.step_seconds;
    tokens[sz(one.placement)] += one.tokens;
    lengths.push_back(one.end - one.begin);
  }
  energy.block_seconds = quantile(lengths, 0.5);

  std::vector<AllGpus> of_blocks(segments.size());
  std::map<int, AllGpus> of_jobs;
  const std::vector<int> gpus = first_ranks_of_gpus(info);
  energy.gpus = static_cast<int>(gpus.size());
  for (const int rank : gpus) {  // one by one: the series of all may be large
    const std::vector<StateSample> series = file.series(rank);
    const auto used = [&](const MeasuredSegment& in, std::size_t least) {
      const auto of_job = std::ranges::equal_range(series, in.job, {}, &StateSample::job);
      return energy_in(std::span(of_job.begin(), of_job.end()), in.begin, in.end, least);
    };
    for (std::size_t i = 0; i < segments.size(); ++i) {
      of_blocks[i].add(used(segments[i], kLeastSamplesOfBlock));
    }
    for (const auto& [number, job] : jobs) of_jobs[number].add(used(job, kLeastSamplesOfRun));
  }

  energy.counted = true;
  const auto add = [&](Sum& sum, const MeasuredSegment& what, const AllGpus& used) {
    if (!used.known || what.tokens <= 0) return;
    sum.add(what, used);
    energy.counted = energy.counted && used.counted;
  };
  std::vector<Sum> sums(energy.placements.size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    add(sums[sz(segments[i].placement)], segments[i], of_blocks[i]);
  }
  for (std::size_t p = 0; p < sums.size(); ++p) {
    const bool enough = sums[p].tokens > 0 && sums[p].tokens >= kLeastCovered * tokens[p];
    if (enough) energy.placements[p] = sums[p].use();
  }
  Sum all;
  for (const auto& [number, job] : jobs) add(all, job, of_jobs[number]);
  const double measured = std::accumulate(tokens.begin(), tokens.end(), 0.0);
  if (all.tokens > 0) {
    energy.all = all.use();
    energy.covered = all.tokens / measured;
  }
  return energy;
}

std::string energy_line(const RunReader& file, const RunEnergy& energy) {
  if (!energy.all.known()) return {};
  const double outside = 1 - energy.all.step_seconds / energy.all.seconds;
  std::vector<std::string> each;
  double unsure = 0;
  for (std::size_t p = 0; p < energy.placements.size(); ++p) {
    const EnergyUse& use = energy.placements[p];
    if (!use.known()) continue;
    unsure = std::max(unsure, use.unsure);
    each.push_back(fmt::format("{} {:.3g} J", file.info().labels[p], use.per_token));
  }
  const std::string by =
      each.empty() ? fmt::format(
                         "by placement not known: too few blocks have {} kept readings (a block "
                         "takes {:.3g} s)",
                         kLeastSamplesOfBlock, energy.block_seconds)
                   : fmt::format("by placement, of its blocks alone, right within {:.2g} %: {}",
                                 100 * unsure, fmt::join(each, ", "));
  const std::string part =
      energy.covered < 1 ? fmt::format(", known of {:.0f} % of the tokens", 100 * energy.covered)
                         : "";
  return fmt::format(
      "energy: {:.4g} J a measured token, {:.4g} J an assignment, {} of {} GPU{}; all placements "
      "together, {:.1f} s of which {:.0f} % is outside of measured steps (discarded and checked "
      "ones too){}; {}",
      energy.all.per_token, energy.all.per_assignment,
      energy.counted ? "by the counter" : "integral of the power", energy.gpus,
      energy.gpus == 1 ? "" : "s", energy.all.seconds, std::max(0.0, outside) * 100, part, by);
}

}  // namespace gembench::inline report
