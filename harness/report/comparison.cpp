#include "harness/report/comparison.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "placement/base/error.hpp"
#include "placement/base/index.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"

namespace gembench::inline report {
namespace {

double mean(const std::vector<double>& values) {
  return values.empty() ? NAN
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

/// NaN (not measured on this clock) counts as nothing.
double or_zero(double value) {
  return std::isnan(value) ? 0 : value;
}

/// One placement's steps, reduced while they are read.
class Reduction {
 public:
  Reduction(const RunInfo& info, double non_moe_time)
      : shape_(info.shape),
        model_(info.model),
        stamped_(info.clock == "gpu-stamps"),
        non_moe_(non_moe_time * shape_.layers),
        step_time(sz(shape_.steps), NAN),
        last_(sz(shape_.ranks), 0),
        tokens_(sz(shape_.layers), std::vector<std::int64_t>(sz(shape_.ranks), 0)) {}

  void add(const SegmentRecord& part, const std::vector<std::int64_t>& blocks) {
    const std::size_t ranks = sz(shape_.ranks), layers = sz(shape_.layers);
    const double& pairs = counts_[count_at("assignments")];
    for (std::size_t step = 0; step < sz(part.at.steps); ++step) {
      const std::size_t at = sz(part.at.first_step) + step;
      if (blocks[at] < 0) continue;
      const auto* own = &part.step_time[step * ranks];
      step_time[at] = *std::max_element(own, own + ranks) + non_moe_;
      block_.push_back(blocks[at]);
      last_in_step_.resize(last_in_step_.size() + ranks, 0);
      const double pairs_before = pairs;
      double critical = 0, wait = 0;
      for (std::size_t layer = 0; layer < layers; ++layer) {
        const std::size_t first = (step * layers + layer) * ranks;
        critical += add_layer(part, layer, first);
        for (std::size_t i = first; i < first + ranks; ++i) {
          wait += part.time[time_at("barrier_wait")][i];
        }
      }
      tokens_in_steps_ += (pairs - pairs_before) / model_.topk / static_cast<double>(layers);
      critical_.push_back(critical);
      waits_.push_back(wait / static_cast<double>(ranks));
      steps_.push_back(step_time[at]);
    }
  }

  PlacementSummary summary() const {
    PlacementSummary s;
    for (std::size_t i = 0; i < kSummaries.size(); ++i) {
      s.values[i] = reduced(kSummaries[i].reduced);
    }
    s["steps"] = static_cast<double>(steps_.size());
    s["step_mean"] = mean(steps_);
    s["step_p50"] = quantile(steps_, 0.5);
    s["step_p90"] = quantile(steps_, 0.9);
    s["step_p99"] = quantile(steps_, 0.99);
    s["wait_mean"] = mean(waits_);
    s["wait_share"] = s["wait_mean"] / s["step_mean"];
    const auto straggler = std::max_element(last_.begin(), last_.end()) - last_.begin();
    const auto readings =
        static_cast<double>(std::accumulate(last_.begin(), last_.end(), std::int64_t{0}));
    for (const auto count : last_) s.last_share.push_back(static_cast<double>(count) / readings);
    s["straggler"] = readings == 0 ? NAN : static_cast<double>(straggler);
    s["straggler_share"] = s.last_share[static_cast<std::size_t>(straggler)];
    double aggregate = 0;
    for (const auto& layer : tokens_) aggregate += imbalance(layer);
    s["aggregate_imbalance"] = aggregate / static_cast<double>(tokens_.size());
    s["step_imbalance"] = mean(imbalances_);
    s["measured"] = mean(critical_);
    s["tokens_per_s"] = tokens_in_steps_ / std::accumulate(steps_.begin(), steps_.end(), 0.0);
    const double expert_flop =
        6.0 * model_.hidden * model_.ffn;  // three products, 2 per multiply-add
    const double pairs =
        counts_[count_at("assignments")] + model_.shared * tokens_in_steps_ * shape_.layers;
    s["expert_flops"] = pairs * expert_flop / times_[time_at("expert_time")];
    add_intervals(s);
    return s;
  }

  /// Sum over measured steps of their tokens.
  double tokens_in_steps() const { return tokens_in_steps_; }

 private:
  /// Sum of a measured quantity over ranks, layers and measured steps.
  double sum(std::string_view key) const {
    const std::size_t count = place_in(kCounts, key);
    return count < kCounts.size() ? counts_[count] : times_.at(place_in(kTimes, key));
  }

  double reduced(const Reduced& by) const {
    const double steps = static_cast<double>(steps_.size());
    switch (by.how) {
      case Reduced::How::mean:
        return sum(by.of) / (steps * shape_.layers * shape_.ranks);
      case Reduced::How::a_step:
        return sum(by.of) / steps;
      case Reduced::How::ratio:
        return sum(by.of) / sum(by.by);
      case Reduced::How::apart:
        break;
    }
    return 0;
  }

  /// Returns the slowest rank's compute time, NaN if it was not measured; counts which rank arrived
  /// last.
  double add_layer(const SegmentRecord& part, std::size_t layer, std::size_t first) {
    const std::size_t ranks = sz(shape_.ranks);
    double slowest = 0, latest = -HUGE_VAL;
    std::size_t last = 0;
    std::vector<std::int64_t> loads(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::size_t i = first + rank;
      const double compute =
          part.time[time_at("route_time")][i] + part.time[time_at("expert_time")][i];
      // Without a barrier layers do not begin together: who waits least came last.
      const double arrival = stamped_ ? -part.time[time_at("barrier_wait")][i]
                                      : compute + or_zero(part.time[time_at("dispatch_time")][i]);
      slowest = std::max(slowest, compute);
      if (arrival > latest) {
        latest = arrival;
        last = rank;
      }
      loads[rank] = part.count[count_at("assignments")][i];
      tokens_[layer][rank] += loads[rank];
      for (std::size_t k = 0; k < kCounts.size(); ++k) {
        const std::int64_t count = part.count[k][i];
        counts_[k] += count < 0 ? NAN : static_cast<double>(count);
      }
      for (std::size_t k = 0; k < kTimes.size(); ++k) times_[k] += part.time[k][i];
    }
    imbalances_.push_back(imbalance(loads));
    if (latest == -HUGE_VAL) return NAN;  // --whole-steps
    ++last_[last];
    ++last_in_step_[last_in_step_.size() - ranks + last];
    return slowest;
  }

  void add_intervals(PlacementSummary& s) const {
    const StepBlocks blocks(block_);
    const auto set = [&](SummaryKey key, const std::optional<Interval>& found) {
      s.intervals[key.place] = found;
    };
    set("step_mean", mean_interval(steps_, blocks, s["step_p50"]));
    set("step_p50", quantile_interval(steps_, blocks, 0.5));
    set("step_p90", quantile_interval(steps_, blocks, 0.9));
    set("step_p99", quantile_interval(steps_, blocks, 0.99));
    set("wait_mean", mean_interval(waits_, blocks, s["step_p50"]));
    set("wait_share", ratio_interval(waits_, steps_, blocks, s["step_p50"]));
    if (std::isnan(s["straggler"]) || shape_.ranks == 1) return;
    std::vector<double> shares;  // [step] of layers in which the straggler was last
    const auto straggler = static_cast<std::size_t>(s["straggler"]);
    for (std::size_t at = straggler; at < last_in_step_.size(); at += sz(shape_.ranks)) {
      shares.push_back(static_cast<double>(last_in_step_[at]) / shape_.layers);
    }
    // Which rank it is was picked by these very readings: intervals of all ranks hold at once.
    set("straggler_share", proportion_interval(shares, shape_.layers, blocks, shape_.ranks));
  }

  RunShape shape_;
  RunModel model_;
  bool stamped_;
  double non_moe_;
  // Sums over ranks, layers and measured steps; NaN where something was not measured.
  std::array<double, kTimes.size()> times_{};
  std::array<double, kCounts.size()> counts_{};
  double tokens_in_steps_ = 0;

 public:
  std::vector<double> step_time;  ///< [step] slowest rank; NaN = not measured

 private:
  std::vector<double> steps_, waits_, critical_, imbalances_;  // [measured step]
  std::vector<std::int64_t> block_;                            // [measured step]
  std::vector<std::int64_t> last_;                             // [rank]
  std::vector<std::int32_t> last_in_step_;                     // [measured step][rank]
  std::vector<std::vector<std::int64_t>> tokens_;              // [layer][rank]
};

/// Mean over the measured steps.
double predicted_step(const RunInfo& info, const std::vector<double>& times, int placement,
                      const std::vector<std::int64_t>& blocks) {
  const std::size_t steps = sz(info.shape.steps), layers = sz(info.shape.layers);
  std::vector<double> predicted;
  for (std::size_t step = 0; step < steps; ++step) {
    if (blocks[step] < 0) continue;
    const auto first =
        times.begin() + static_cast<std::ptrdiff_t>((sz(placement) * steps + step) * layers);
    predicted.push_back(std::accumulate(first, first + info.shape.layers, 0.0));
  }
  return mean(predicted);
}

bool forwards_rows(const RunInfo& info) {
  const auto config = nlohmann::json::parse(info.config, nullptr, false);
  return config.is_object() && config.contains("dispatch") && config["dispatch"] == "hierarchical";
}

/// Payload rows of all measured steps and layers, including those that stayed on their rank; NaN if
/// the file does not have them yet, or if they include forwarded rows.
double rows_sent(const RunReader& file, int placement) {
  const auto& pairs = file.end().bytes_pair;
  const RunInfo& info = file.info();
  if (pairs.empty() || info.model.row_bytes == 0 || forwards_rows(info)) return NAN;
  const std::size_t size = sz(info.shape.layers) * sz(info.shape.ranks) * sz(info.shape.ranks);
  const auto first = pairs.begin() + static_cast<std::ptrdiff_t>(sz(placement) * size);
  return static_cast<double>(
             std::accumulate(first, first + static_cast<std::ptrdiff_t>(size), std::int64_t{0})) /
         info.model.row_bytes;
}

void add_moves(const RunReader& file, int placement, PlacementSummary& summary) {
  int switches = 0;
  for (std::size_t segment = 0; segment < file.notes().size(); ++segment) {
    const SegmentNotes& notes = file.notes()[segment];
    const Segment& at = file.info().segments[segment];
    if (at.placement != placement) continue;
    if (notes.replan.reason != ReplanRecord::Reason::none) {
      summary.changes.push_back({at.first_step + at.steps - 1, notes.replan});
    }
    if (notes.bytes_moved < 0) continue;
    ++switches;
    summary["moved_seconds"] += notes.move_seconds;
    summary["moved_bytes"] += static_cast<double>(notes.bytes_moved);
  }
  if (switches == 0) return;
  summary["moved_seconds"] /= switches;
  summary["moved_bytes"] /= switches;
}

/// [rank] median over the loads of after / before - 1.
std::vector<double> drift_of(const Profile& before, const std::vector<double>& after) {
  std::vector<double> drift;
  const std::size_t load_points = before.load_points.size();
  for (std::size_t rank = 0; rank * load_points < after.size(); ++rank) {
    std::vector<double> ratios;
    for (std::size_t load_point = 1; load_point < load_points;
         ++load_point) {  // the first is no load at all
      const std::size_t i = rank * load_points + load_point;
      if (before.latency[i] > 0) ratios.push_back(after[i] / before.latency[i] - 1);
    }
    drift.push_back(quantile(ratios, 0.5));
  }
  return drift;
}

/// The pairs to compare: ascending by placement, then by reference.
std::vector<PairDifference> pairs_to_compare(const std::vector<std::string>& labels,
                                             const std::string& against) {
  const auto named = std::ranges::find(labels, against);
  const bool all = against == kAgainstAll;
  if (!against.empty() && !all && named == labels.end()) {
    throw usage_error(fmt::format("--against '{}' was not measured: choose one of {}, or {}",
                                  against, fmt::join(labels, ", "), kAgainstAll));
  }
  const auto reference = against.empty() ? 0 : static_cast<int>(named - labels.begin());
  std::vector<PairDifference> pairs;
  for (int placement = 0; placement < static_cast<int>(labels.size()); ++placement) {
    if (all) {
      for (int other = 0; other < placement; ++other) pairs.push_back({placement, other, {}});
    } else if (placement != reference) {
      pairs.push_back({placement, reference, {}});
    }
  }
  return pairs;
}

std::vector<std::string> labels_of(const ReducedRun& run) {
  std::vector<std::string> labels;
  for (const PlacementSummary& row : run.placements) labels.push_back(row.label);
  return labels;
}

/// The 95 % hold for so many intervals `together`.
std::vector<PairDifference> differences(const ReducedRun& run, std::vector<PairDifference> pairs,
                                        std::size_t together) {
  for (PairDifference& pair : pairs) {
    pair.step_time =
        paired_difference(run.step_times[sz(pair.reference)], run.step_times[sz(pair.placement)],
                          run.blocks[sz(pair.placement)], static_cast<int>(together));
    // One rank holds every expert under any placement: all differences are noise.
    if (run.placements.front().last_share.size() == 1)
      pair.step_time.low = pair.step_time.high = {};
  }
  return pairs;
}

}  // namespace

const PairDifference* Comparison::pair_of(int placement) const {
  const auto found = std::ranges::find(pairs, placement, &PairDifference::placement);
  return found == pairs.end() ? nullptr : &*found;
}

ReducedRun reduce(const RunReader& file, double non_moe_time) {
  const RunInfo& info = file.info();
  ReducedRun run;
  for (int placement = 0; placement < info.shape.placements; ++placement) {
    const auto blocks = file.blocks(placement);
    Reduction reduction(info, non_moe_time);
    for (int first = 0; first < info.shape.steps; first += kStepsAtOnce) {
      const int count = std::min(kStepsAtOnce, info.shape.steps - first);
      reduction.add(file.read(placement, first, count), blocks);
    }
    PlacementSummary summary = reduction.summary();
    summary.label = info.labels[sz(placement)];
    summary["predicted"] = predicted_step(info, info.predicted_layer_time, placement, blocks);
    summary["predicted_by_experts"] =
        predicted_step(info, info.predicted_by_experts, placement, blocks);
    summary["distinct_ranks"] =
        rows_sent(file, placement) / info.shape.layers / std::max(1.0, reduction.tokens_in_steps());
    add_moves(file, placement, summary);
    summary["replicas"] =
        static_cast<double>(count_duplicates(info.placements[sz(placement)])) / info.shape.layers;
    run.step_times.push_back(std::move(reduction.step_time));
    run.blocks.push_back(blocks);
    run.placements.push_back(std::move(summary));
  }
  run.drift = drift_of(info.profile, file.end().profile_after);
  std::vector<std::vector<double>> seconds = run.step_times;
  for (auto& steps : seconds) {
    for (double& step : steps) step -= non_moe_time * info.shape.layers;
  }
  run.energy = energy_of(file, seconds);
  for (std::size_t p = 0; p < run.placements.size(); ++p) {
    run.placements[p]["energy_per_token"] = run.energy.placements[p].per_token;
    run.placements[p]["energy_per_assignment"] = run.energy.placements[p].per_assignment;
  }
  return run;
}

Comparison compare(const ReducedRun& run, const std::string& against) {
  const auto labels = labels_of(run);
  const auto pairs = pairs_to_compare(labels, against);
  const auto every = pairs_to_compare(labels, kAgainstAll);
  return {run.placements, differences(run, pairs, pairs.size()), run.drift,
          differences(run, every, every.size()), run.energy};
}

Comparison compare(const RunReader& file, double non_moe_time, const std::string& against) {
  static_cast<void>(pairs_to_compare(file.info().labels, against));  // refused before it takes time
  return compare(reduce(file, non_moe_time), against);
}

RunSummary summary_of(const ReducedRun& run) {
  RunSummary summary;
  summary.run_energy_per_token = run.energy.all.per_token;
  summary.run_energy_per_assignment = run.energy.all.per_assignment;
  const auto labels = labels_of(run);
  for (const PlacementSummary& row : run.placements) {
    for (std::size_t i = 0; i < kSummaries.size(); ++i) {
      const Interval found = row.intervals[i].value_or(Interval{NAN, NAN});
      summary.values[i].push_back(row.values[i]);
      summary.low[i].push_back(found.low);
      summary.high[i].push_back(found.high);
    }
    summary.last_share.insert(summary.last_share.end(), row.last_share.begin(),
                              row.last_share.end());
  }
  summary.differences.assign(labels.size() * labels.size(), {});
  const std::size_t every = pairs_to_compare(labels, kAgainstAll).size();
  for (const std::string& label : labels) {
    const auto pairs = pairs_to_compare(labels, label);
    const std::size_t together = label == labels.front() ? pairs.size() : every;
    for (const PairDifference& pair : differences(run, pairs, together)) {
      const Difference& d = pair.step_time;
      summary.differences[sz(pair.reference) * labels.size() + sz(pair.placement)] = {
          d.typical, d.low.value_or(NAN), d.high.value_or(NAN), d.mean,
          static_cast<double>(d.blocks)};
    }
  }
  return summary;
}

}  // namespace gembench::inline report
