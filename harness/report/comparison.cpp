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

constexpr int kStepsAtOnce = 64;

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
  Reduction(const RunShape& shape, int topk, double non_moe_time)
      : shape_(shape),
        topk_(topk),
        non_moe_(non_moe_time * shape.layers),
        step_time(sz(shape.steps), NAN),
        last_(sz(shape.ranks), 0),
        tokens_(sz(shape.layers), std::vector<std::int64_t>(sz(shape.ranks), 0)) {}

  void add(const Block& part, const std::vector<std::int64_t>& blocks) {
    const std::size_t ranks = sz(shape_.ranks), layers = sz(shape_.layers);
    for (std::size_t step = 0; step < sz(part.at.steps); ++step) {
      const std::size_t at = sz(part.at.first_step) + step;
      if (blocks[at] < 0) continue;
      const auto* own = &part.step_time[step * ranks];
      step_time[at] = *std::max_element(own, own + ranks) + non_moe_;
      block_.push_back(blocks[at]);
      last_in_step_.resize(last_in_step_.size() + ranks, 0);
      const double pairs_before = pairs_;
      double critical = 0, wait = 0;
      for (std::size_t layer = 0; layer < layers; ++layer) {
        const std::size_t first = (step * layers + layer) * ranks;
        critical += add_layer(part, layer, first);
        for (std::size_t i = first; i < first + ranks; ++i) {
          wait += time(part, TimeField::barrier_wait)[i];
        }
      }
      tokens_in_steps_ += (pairs_ - pairs_before) / topk_ / static_cast<double>(layers);
      critical_.push_back(critical);
      waits_.push_back(wait / static_cast<double>(ranks));
      steps_.push_back(step_time[at]);
    }
  }

  PlacementSummary summary() const {
    PlacementSummary s;
    s.steps = static_cast<int>(steps_.size());
    s.step_mean = mean(steps_);
    s.step_p50 = quantile(steps_, 0.5);
    s.step_p90 = quantile(steps_, 0.9);
    s.step_p99 = quantile(steps_, 0.99);
    s.wait_mean = mean(waits_);
    s.wait_share = s.wait_mean / s.step_mean;
    s.straggler = static_cast<int>(std::max_element(last_.begin(), last_.end()) - last_.begin());
    const auto readings =
        static_cast<double>(std::accumulate(last_.begin(), last_.end(), std::int64_t{0}));
    for (const auto count : last_) s.last_share.push_back(static_cast<double>(count) / readings);
    s.straggler_share = s.last_share[sz(s.straggler)];
    if (readings == 0) s.straggler = -1;
    double aggregate = 0;
    for (const auto& layer : tokens_) aggregate += imbalance(layer);
    s.aggregate_imbalance = aggregate / static_cast<double>(tokens_.size());
    s.step_imbalance = mean(imbalances_);
    s.measured = mean(critical_);
    s.intervals = intervals(s);
    return s;
  }

  Rates rates(const RunModel& model) const {
    Rates r;
    const double steps = static_cast<double>(steps_.size());
    const double readings = steps * shape_.layers * shape_.ranks;
    const double expert_flop =
        6.0 * model.hidden * model.ffn;  // three products, 2 per multiply-add
    const double pairs = pairs_ + model.shared * tokens_in_steps_ * shape_.layers;
    r.tokens = tokens_in_steps_ / std::accumulate(steps_.begin(), steps_.end(), 0.0);
    r.expert_flops = pairs * expert_flop / expert_seconds_;
    r.active_experts = active_ / readings;
    r.payload_bytes = payload_ / steps;
    r.inter_node_bytes = inter_node_ / steps;
    r.metadata_bytes = metadata_ / steps;
    r.dispatch = payload_ / dispatch_seconds_;
    r.combine = payload_ / combine_seconds_;
    return r;
  }
  /// Sum over measured steps of their tokens.
  double tokens_in_steps() const { return tokens_in_steps_; }

 private:
  static const std::vector<double>& time(const Block& part, TimeField field) {
    return part.time[static_cast<std::size_t>(field)];
  }

  static const std::vector<std::int64_t>& count(const Block& part, CountField field) {
    return part.count[static_cast<std::size_t>(field)];
  }

  /// Returns the slowest rank's compute, NaN when it was not read; counts who arrived last.
  double add_layer(const Block& part, std::size_t layer, std::size_t first) {
    const std::size_t ranks = sz(shape_.ranks);
    double slowest = 0, latest = -1;
    std::size_t last = 0;
    std::vector<std::int64_t> loads(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::size_t i = first + rank;
      const double compute =
          time(part, TimeField::route_time)[i] + time(part, TimeField::expert_time)[i];
      const double arrival = compute + or_zero(time(part, TimeField::dispatch_time)[i]);
      slowest = std::max(slowest, compute);
      if (arrival > latest) {
        latest = arrival;
        last = rank;
      }
      loads[rank] = count(part, CountField::tokens)[i];
      tokens_[layer][rank] += loads[rank];
      pairs_ += static_cast<double>(loads[rank]);
      active_ += static_cast<double>(count(part, CountField::active_experts)[i]);
      payload_ += static_cast<double>(count(part, CountField::bytes_sent)[i]);
      metadata_ += static_cast<double>(count(part, CountField::metadata_bytes)[i]);
      const auto inter_node = count(part, CountField::inter_node_bytes)[i];
      inter_node_ += inter_node < 0 ? NAN : static_cast<double>(inter_node);
      expert_seconds_ += time(part, TimeField::expert_time)[i];
      dispatch_seconds_ += time(part, TimeField::dispatch_time)[i];  // NaN stays NaN
      combine_seconds_ += time(part, TimeField::combine_time)[i];
    }
    imbalances_.push_back(imbalance(loads));
    if (latest < 0) return NAN;  // --whole-steps
    ++last_[last];
    ++last_in_step_[last_in_step_.size() - ranks + last];
    return slowest;
  }

  SummaryIntervals intervals(const PlacementSummary& s) const {
    const StepBlocks blocks(block_);
    SummaryIntervals found;
    found.step_mean = mean_interval(steps_, blocks, s.step_p50);
    found.step_p50 = quantile_interval(steps_, blocks, 0.5);
    found.step_p90 = quantile_interval(steps_, blocks, 0.9);
    found.step_p99 = quantile_interval(steps_, blocks, 0.99);
    found.wait_mean = mean_interval(waits_, blocks, s.step_p50);
    found.wait_share = ratio_interval(waits_, steps_, blocks, s.step_p50);
    if (s.straggler < 0 || shape_.ranks == 1) return found;
    std::vector<double> shares;  // [step] of layers in which the straggler was last
    for (std::size_t at = sz(s.straggler); at < last_in_step_.size(); at += sz(shape_.ranks)) {
      shares.push_back(static_cast<double>(last_in_step_[at]) / shape_.layers);
    }
    // Which rank it is was picked by these very readings: intervals of all ranks hold at once.
    found.straggler_share = proportion_interval(shares, shape_.layers, blocks, shape_.ranks);
    return found;
  }

  RunShape shape_;
  int topk_;
  double non_moe_;
  // Sums over ranks, layers and measured steps.
  double pairs_ = 0, active_ = 0, payload_ = 0, metadata_ = 0, inter_node_ = 0;
  double tokens_in_steps_ = 0;
  double expert_seconds_ = 0, dispatch_seconds_ = 0, combine_seconds_ = 0;

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

/// Rows of payload of all measured steps and layers, those that stayed on their rank included; NaN
/// when the file does not know yet, or when forwarded rows are among them.
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
  for (std::size_t turn = 0; turn < file.notes().size(); ++turn) {
    const TurnNotes& notes = file.notes()[turn];
    const Turn& at = file.info().turns[turn];
    if (at.placement != placement) continue;
    if (notes.replan.reason != ReplanRecord::Reason::none) {
      summary.changes.push_back({at.first_step + at.steps - 1, notes.replan});
    }
    if (notes.bytes_moved < 0) continue;
    ++switches;
    summary.moved_seconds += notes.move_seconds;
    summary.moved_bytes += static_cast<double>(notes.bytes_moved);
  }
  if (switches == 0) return;
  summary.moved_seconds /= switches;
  summary.moved_bytes /= switches;
}

/// [rank] median over the loads of after / before - 1.
std::vector<double> drift_of(const Profile& before, const std::vector<double>& after) {
  std::vector<double> drift;
  const std::size_t knots = before.knots.size();
  for (std::size_t rank = 0; rank * knots < after.size(); ++rank) {
    std::vector<double> ratios;
    for (std::size_t knot = 1; knot < knots; ++knot) {  // the first is no load at all
      const std::size_t i = rank * knots + knot;
      if (before.latency[i] > 0) ratios.push_back(after[i] / before.latency[i] - 1);
    }
    drift.push_back(quantile(ratios, 0.5));
  }
  return drift;
}

/// What is compared with what: ascending by placement, then by reference.
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

}  // namespace

const PairDifference* Comparison::pair_of(int placement) const {
  const auto found = std::ranges::find(pairs, placement, &PairDifference::placement);
  return found == pairs.end() ? nullptr : &*found;
}

Comparison compare(const RunReader& file, double non_moe_time, const std::string& against) {
  const RunInfo& info = file.info();
  Comparison comparison;
  comparison.pairs = pairs_to_compare(info.labels, against);
  std::vector<std::vector<double>> step_times;  // [placement][step]
  for (int placement = 0; placement < info.shape.placements; ++placement) {
    const auto blocks = file.blocks(placement);
    Reduction reduction(info.shape, info.model.topk, non_moe_time);
    for (int first = 0; first < info.shape.steps; first += kStepsAtOnce) {
      const int count = std::min(kStepsAtOnce, info.shape.steps - first);
      reduction.add(file.read(placement, first, count), blocks);
    }
    PlacementSummary summary = reduction.summary();
    summary.label = info.labels[sz(placement)];
    summary.predicted = predicted_step(info, info.predicted_layer_time, placement, blocks);
    summary.predicted_by_experts =
        predicted_step(info, info.predicted_by_experts, placement, blocks);
    summary.rates = reduction.rates(info.model);
    summary.rates.distinct_ranks =
        rows_sent(file, placement) / info.shape.layers / std::max(1.0, reduction.tokens_in_steps());
    add_moves(file, placement, summary);
    summary.replicas =
        static_cast<double>(count_duplicates(info.placements[sz(placement)])) / info.shape.layers;
    step_times.push_back(reduction.step_time);
    comparison.placements.push_back(summary);
  }
  for (PairDifference& pair : comparison.pairs) {
    pair.step_time =
        paired_difference(step_times[sz(pair.reference)], step_times[sz(pair.placement)],
                          file.blocks(pair.placement), static_cast<int>(comparison.pairs.size()));
    // One rank holds every expert under any placement: what differs is noise.
    if (info.shape.ranks == 1) pair.step_time.low = pair.step_time.high = {};
  }
  comparison.drift = drift_of(info.profile, file.end().profile_after);
  return comparison;
}

}  // namespace gembench::inline report
