#include "harness/report/gpu_findings.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "harness/report/energy.hpp"
#include "harness/report/gpu_line.hpp"
#include "harness/report/gpu_ranks.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline report {
namespace {

constexpr std::size_t kTold = 4;  // of each kind

/// Which placement's steps ran when, by job and begin.
struct Span {
  int job = 0;
  double begin = 0, end = 0;
  int placement = 0;
};

std::vector<Span> spans_of(const RunReader& file) {
  std::vector<Span> spans;
  for (int segment = 0; segment < file.info().shape.segments; ++segment) {
    const SegmentNotes& notes = file.notes()[sz(segment)];
    if (notes.job < 0 || !(notes.end > notes.begin)) continue;
    spans.push_back(
        {notes.job, notes.begin, notes.end, file.info().segments[sz(segment)].placement});
  }
  std::ranges::sort(spans, {}, [](const Span& one) { return std::pair(one.job, one.begin); });
  return spans;
}

/// Which of `spans` it was read in; none between blocks.
std::optional<std::size_t> span_of(const std::vector<Span>& spans, const StateSample& sample) {
  const auto after =
      std::ranges::upper_bound(spans, std::pair(sample.job, sample.time), {},
                               [](const Span& one) { return std::pair(one.job, one.begin); });
  if (after == spans.begin()) return std::nullopt;
  const Span& span = *(after - 1);
  const bool within = span.job == sample.job && sample.time <= span.end;
  return within ? std::optional(static_cast<std::size_t>(after - 1 - spans.begin())) : std::nullopt;
}

/// "rank 3's GPU on node7"
std::string gpu_of(const RunInfo& info, int rank) {
  const auto hosts = info.rank_facts.find("host");
  return fmt::format(
      "rank {}'s GPU{}", rank,
      hosts == info.rank_facts.end() ? "" : fmt::format(" on {}", hosts->second[sz(rank)]));
}

struct ClockMean {
  double sum = 0;
  std::size_t count = 0;
  [[nodiscard]] double mean() const { return sum / static_cast<double>(count); }
};

/// [placement], of blocks with so many readings that they are not those of neighbours.
std::vector<ClockMean> by_placement(const std::vector<Span>& spans,
                                    const std::vector<ClockMean>& of_spans, int placements) {
  std::vector<ClockMean> found(sz(placements));
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (of_spans[i].count < kLeastSamplesOfBlock) continue;
    found[sz(spans[i].placement)].sum += of_spans[i].sum;
    found[sz(spans[i].placement)].count += of_spans[i].count;
  }
  return found;
}

std::string held_down(const RunInfo& info, int rank, const std::map<std::string, std::size_t>& held,
                      std::size_t any, std::size_t readings) {
  std::vector<std::string> reasons;
  for (const auto& [name, count] : held) {
    reasons.push_back(
        fmt::format("{} in {:.1f} %", name,
                    100.0 * static_cast<double>(count) / static_cast<double>(readings)));
  }
  return fmt::format(
      "the clock of {} was held down in {:.1f} % of {} readings ({}): "
      "compare its clock with the others', or lock all with --lock-clocks",
      gpu_of(info, rank), 100.0 * static_cast<double>(any) / static_cast<double>(readings),
      readings, fmt::join(reasons, ", "));
}

/// The lowest and the highest mean clock under a placement, where they differ too much.
std::optional<std::string> drifted(const RunInfo& info, int rank,
                                   const std::vector<ClockMean>& clocks) {
  std::optional<std::size_t> low, high;
  for (std::size_t p = 0; p < clocks.size(); ++p) {
    if (clocks[p].count == 0) continue;
    if (!low || clocks[p].mean() < clocks[*low].mean()) low = p;
    if (!high || clocks[p].mean() > clocks[*high].mean()) high = p;
  }
  if (!low) return std::nullopt;
  const double least = clocks[*low].mean(), most = clocks[*high].mean();
  if (!(least > 0) || most / least - 1 <= kClockDrift) return std::nullopt;
  return fmt::format(
      "the clock of {} differed between placements: {:.0f} MHz under {}, {:.0f} under {} ({:+.1f} "
      "%), which is in their difference: use smaller --block or --lock-clocks, or a longer --soak",
      gpu_of(info, rank), most / 1e6, info.labels[*high], least / 1e6, info.labels[*low],
      100 * (least / most - 1));
}

void add_some(std::vector<std::string>& to, const std::vector<std::string>& found,
              const char* what) {
  to.insert(to.end(), found.begin(),
            found.begin() + static_cast<std::ptrdiff_t>(std::min(kTold, found.size())));
  if (found.size() > kTold)
    to.push_back(fmt::format("{} more GPUs {}", found.size() - kTold, what));
}

}  // namespace

std::string unsteady_sentence(const SoakRecord& soak, const char* before) {
  if (soak.steady != 0) return {};
  return fmt::format(
      "the devices were not known to be steady before {}, after {:.0f} s of soaking: {}: give a "
      "longer --soak, or look for what changes",
      before, soak.seconds,
      soak.unsteady.empty() ? "they still changed, or were read too seldom to tell"
                            : soak.unsteady);
}

std::vector<std::string> gpu_findings(const RunReader& file) {
  const RunInfo& info = file.info();
  const std::vector<Span> spans = info.gpu_before.empty() ? std::vector<Span>() : spans_of(file);
  std::vector<std::string> slow, different, all;
  for (const int rank : first_ranks_of_gpus(info)) {
    if (spans.empty()) break;
    std::vector<ClockMean> clocks(spans.size());
    std::map<std::string, std::size_t> held;
    std::size_t readings = 0, any = 0;
    for (const StateSample& sample : file.series(rank)) {
      if (sample.time < 0) continue;  // the soak
      if (sample.throttle_reasons >= 0) {
        ++readings;
        const auto names = slow_reasons(sample.throttle_reasons);
        if (!names.empty()) ++any;
        for (const std::string& name : names) ++held[name];
      }
      if (std::isnan(sample.clock)) continue;
      if (const auto span = span_of(spans, sample)) {
        clocks[*span].sum += sample.clock;
        ++clocks[*span].count;
      }
    }
    if (any > 0) slow.push_back(held_down(info, rank, held, any, readings));
    const auto means = by_placement(spans, clocks, info.shape.placements);
    if (auto found = drifted(info, rank, means)) different.push_back(std::move(*found));
  }
  for (std::string sentence : {unsteady_sentence(file.end().soak_profile, "the profile"),
                               unsteady_sentence(file.end().soak, "the first step")}) {
    if (!sentence.empty()) all.push_back(std::move(sentence));
  }
  add_some(all, slow, "had their clocks held down");
  add_some(all, different, "had clocks that differed between placements");
  return all;
}

}  // namespace gembench::inline report
