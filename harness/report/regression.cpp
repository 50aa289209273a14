#include "harness/report/regression.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "harness/report/comparison.hpp"
#include "harness/report/numbers.hpp"
#include "harness/report/quiet_report.hpp"
#include "harness/report/run_config.hpp"
#include "harness/report/verdict.hpp"
#include "harness/run/same_run.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/base/statistics.hpp"

namespace gembench::inline report {
namespace {

void require_same(const std::optional<RunDifference>& other, const NamedRun& old,
                  const NamedRun& now) {
  if (!other) return;
  throw usage_error(fmt::format(
      "{} of {} and {} differ ({} and {}): a baseline is an earlier run of the same command",
      other->what, old.path, now.path, other->earlier, other->mine));
}

void require_finished(const NamedRun& run) {
  if (!run.file.completed()) {
    throw usage_error(fmt::format("{} is not complete: continue its run with --resume", run.path));
  }
  if (outputs_are_wrong(run.file)) {
    throw usage_error(
        fmt::format("{} has wrong outputs, so its times mean nothing: measure again", run.path));
  }
}

/// What else may explain a difference.
std::vector<std::string> notes_on(const NamedRun& old, const NamedRun& now) {
  std::vector<std::string> notes;
  const RunInfo &before = old.file.info(), &after = now.file.info();
  for (const auto& other : {other_program(before, after), other_nodes(before, after),
                            other_known_products(before.rank_facts, after.rank_facts)}) {
    if (other) {
      notes.push_back(
          fmt::format("{} changed: {} then, {} now", other->what, other->earlier, other->mine));
    }
  }
  for (const NamedRun* run : {&old, &now}) {
    for (const std::string& warning : quiet_warnings(quiet_readings(run->file))) {
      notes.push_back(fmt::format("{}: {}", run->path, warning));
    }
  }
  return notes;
}

std::vector<std::string> names_of_ranks(const RunInfo& info) {
  std::vector<std::string> names;
  for (int rank = 0; rank < info.shape.ranks; ++rank) {
    std::vector<std::string> where;
    for (const char* name : {"host", "gpu_uuid"}) {
      const auto fact = info.rank_facts.find(name);
      if (fact != info.rank_facts.end() && !fact->second[sz(rank)].empty()) {
        where.push_back(fact->second[sz(rank)]);
      }
    }
    names.push_back(where.empty() ? fmt::format("rank {}", rank)
                                  : fmt::format("rank {} ({})", rank, fmt::join(where, ", ")));
  }
  return names;
}

/// [rank][step] s in route and experts, all layers; NaN = not measured.
std::vector<std::vector<double>> compute_times(const RunReader& file, int placement) {
  const RunShape& shape = file.info().shape;
  const auto blocks = file.blocks(placement);
  std::vector<std::vector<double>> times(sz(shape.ranks),
                                         std::vector<double>(sz(shape.steps), NAN));
  for (int first = 0; first < shape.steps; first += kStepsAtOnce) {
    const int steps = std::min(kStepsAtOnce, shape.steps - first);
    const SegmentRecord part = file.read(placement, first, steps);
    const auto &route = part.time[time_at("route_time")],
               &experts = part.time[time_at("expert_time")];
    std::size_t i = 0;
    for (int step = first; step < first + steps; ++step) {
      if (blocks[sz(step)] >= 0) {
        for (auto& rank : times) rank[sz(step)] = 0;
      }
      for (int layer = 0; layer < shape.layers; ++layer) {
        for (auto& rank : times) {
          rank[sz(step)] += route[i] + experts[i];
          ++i;
        }
      }
    }
  }
  return times;
}

/// Whether every rank holds the same experts in both runs throughout.
bool same_experts(const Placement& a, const Placement& b, const PlacementSummary& before,
                  const PlacementSummary& now) {
  return a.slot_expert == b.slot_expert && before.changes.empty() && now.changes.empty();
}

std::vector<Difference> rank_changes(const RunReader& old, int then, const RunReader& file, int now,
                                     const std::vector<std::int64_t>& blocks) {
  const auto before = compute_times(old, then), after = compute_times(file, now);
  std::vector<Difference> ranks;
  for (std::size_t rank = 0; rank < before.size(); ++rank) {
    ranks.push_back(
        paired_difference(before[rank], after[rank], blocks, static_cast<int>(before.size())));
  }
  const bool timed =
      std::ranges::all_of(ranks, [](const Difference& d) { return std::isfinite(d.typical); });
  return timed ? ranks : std::vector<Difference>();
}

/// Which rank's computing explains a longer step.
std::string cause_of(const Regression& regression, const std::vector<Difference>& ranks) {
  if (ranks.empty() || !ranks.front().low) return "";
  const auto most = std::ranges::max_element(ranks, {}, [](const Difference& d) { return *d.low; });
  std::vector<double> others, all;
  for (const Difference& d : ranks) {
    all.push_back(d.typical);
    if (&d != &*most) others.push_back(d.typical);
  }
  if (!(*most->low > 0)) {
    return "; no rank's computing has certainly slowed down: look at communication";
  }
  if (!others.empty() && *most->low <= quantile(others, 0.5)) {
    return fmt::format("; no rank stands out: computing takes {} on the median rank",
                       percent_change(quantile(all, 0.5)));
  }
  return fmt::format("; {} slowed down: its computing takes {}",
                     regression.rank_names[sz(most - ranks.begin())], in_words(*most));
}

/// The rows with this word.
std::vector<const PlacementSince*> rows_that_are(const Regression& regression, SinceWord word) {
  std::vector<const PlacementSince*> rows;
  for (const PlacementSince& row : regression.placements) {
    if (judge(row.step_time, regression.limit()) == word) rows.push_back(&row);
  }
  return rows;
}

std::string slower_sentence(const Regression& regression,
                            const std::vector<const PlacementSince*>& slower) {
  const auto* worst = *std::ranges::max_element(
      slower, {}, [](const PlacementSince* row) { return *row->step_time.low; });
  std::string text = fmt::format("slower than {}: step time of {} {}", regression.old_file,
                                 worst->placement, in_words(worst->step_time));
  if (slower.size() > 1) {
    text += fmt::format(", and {} other placement{} too", slower.size() - 1,
                        slower.size() > 2 ? "s" : "");
  }
  text += fmt::format(", above the limit of {:g} %", regression.limit() * 100);
  text += fmt::format("; it happened between {} and {}", regression.old_started,
                      regression.new_started);
  const auto known =
      std::ranges::find_if(slower, [](const PlacementSince* row) { return !row->ranks.empty(); });
  return text + (known == slower.end() ? "" : cause_of(regression, (*known)->ranks));
}

std::string open_sentence(const Regression& regression,
                          const std::vector<const PlacementSince*>& open) {
  if (std::ranges::any_of(open, [](const auto* row) { return !row->step_time.high; })) {
    return fmt::format(
        "cannot tell: {} blocks of steps in common, and an interval takes {}; measure both longer",
        open.front()->step_time.blocks, kLeastBlocks);
  }
  const auto* widest = *std::ranges::max_element(
      open, {}, [](const PlacementSince* row) { return *row->step_time.high; });
  return fmt::format(
      "cannot tell below {:.2f} %, and the limit is {:g} %: step time of {} {} against {}; measure "
      "both longer",
      *widest->step_time.high * 100, regression.limit() * 100, widest->placement,
      in_words(widest->step_time), regression.old_file);
}

}  // namespace

SinceWord judge(const Difference& step_time, double limit) {
  if (!step_time.low || !step_time.high) return SinceWord::open;
  if (*step_time.low > limit) return SinceWord::slower;
  return *step_time.high <= limit ? SinceWord::not_slower : SinceWord::open;
}

const char* name_of(SinceWord word) {
  constexpr const char* kNames[] = {"slower", "not slower", "open"};
  return kNames[static_cast<std::size_t>(word)];
}

Regression regression_of(const NamedRun& old, const NamedRun& now,
                         std::optional<double> fail_above) {
  const RunInfo &before = old.file.info(), &after = now.file.info();
  require_same(other_command(before, after.shape.ranks, after.config, {"placements"}), old, now);
  require_same(other_device(before, after), old, now);
  require_same(other_loads(before, fact_of(after, "trace_digest")), old, now);
  require_finished(old);
  require_finished(now);
  Regression regression;
  regression.old_file = old.path;
  regression.new_file = now.path;
  regression.old_started = fact_of(before, "started");
  regression.new_started = fact_of(after, "started");
  regression.notes = notes_on(old, now);
  if (fail_above) regression.fail_above = *fail_above / 100;
  regression.rank_names = names_of_ranks(after);
  regression.rank_facts = after.rank_facts;
  std::vector<std::pair<int, int>> both;  // placements: then and now
  for (int i = 0; i < after.shape.placements; ++i) {
    const auto found = std::ranges::find(before.labels, after.labels[sz(i)]);
    if (found != before.labels.end()) both.emplace_back(found - before.labels.begin(), i);
  }
  if (both.empty()) {
    throw usage_error(fmt::format("{} and {} have no placement in common: {} and {}", now.path,
                                  old.path, fmt::join(after.labels, ", "),
                                  fmt::join(before.labels, ", ")));
  }
  const ReducedRun earlier = reduce(old.file, stated_non_moe_time(before)),
                   later = reduce(now.file, stated_non_moe_time(after));
  for (const auto& [then, at] : both) {
    const PlacementSummary &first = earlier.placements[sz(then)],
                           &second = later.placements[sz(at)];
    PlacementSince row{second.label, first["step_mean"], second["step_mean"], {}, {}};
    row.step_time = paired_difference(earlier.step_times[sz(then)], later.step_times[sz(at)],
                                      later.blocks[sz(at)], static_cast<int>(both.size()));
    if (same_experts(before.placements[sz(then)], after.placements[sz(at)], first, second)) {
      row.ranks = rank_changes(old.file, then, now.file, at, later.blocks[sz(at)]);
    }
    regression.placements.push_back(std::move(row));
  }
  return regression;
}

std::string sentence_of(const Regression& regression) {
  const auto slower = rows_that_are(regression, SinceWord::slower),
             open = rows_that_are(regression, SinceWord::open);
  if (!slower.empty()) return slower_sentence(regression, slower);
  if (!open.empty()) return open_sentence(regression, open);
  const auto& most = *std::ranges::max_element(
      regression.placements, {}, [](const PlacementSince& row) { return *row.step_time.high; });
  return fmt::format("not slower than {} by more than {:g} %: the most is step time of {} {}",
                     regression.old_file, regression.limit() * 100, most.placement,
                     in_words(most.step_time));
}

bool has_failed(const Regression& regression) {
  return regression.fail_above && !rows_that_are(regression, SinceWord::slower).empty();
}

}  // namespace gembench::inline report
