#include "moe_layer/profiler/profiler.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "moe_layer/profiler/expert_bench.hpp"
#include "moe_layer/profiler/load_points.hpp"
#include "placement/base/index.hpp"
#include "placement/base/random.hpp"
#include "placement/base/statistics.hpp"
#include "placement/cost/score.hpp"
#include "placement/speeds/profile_dents.hpp"

namespace gembench::inline profiler {
namespace {

constexpr int kLeastReadings = 3;  // of every point, whatever the budget
constexpr int kMostWarmups = 5;
constexpr double kWarm = 0.02;        // two rounds agree
constexpr double kWarmupShare = 0.2;  // of the budget, at most
constexpr double kSearchShare = 0.5;  // of the budget, with warm-up
constexpr double kRepeatShare = 0.9;  // of the budget, before dents are measured again
constexpr std::size_t kProbeRounds = 3;
constexpr int kDentRounds = 2 * Median::kLeastReadings;
constexpr double kNoReading = std::numeric_limits<double>::quiet_NaN();

/// Collective: the largest of all ranks, value by value, on every rank.
std::vector<double> largest(const Comm& comm, const std::vector<double>& mine) {
  const auto all = comm.gather(std::span<const double>(mine));
  std::vector<double> most(mine);
  for (std::size_t i = 0; i < all.size(); ++i)
    most[i % mine.size()] = std::max(most[i % mine.size()], all[i]);
  comm.broadcast(most);
  return most;
}

std::int64_t most_pairs(std::int64_t even, const ProfileOptions& options) {
  for (const ReceivedLoad& load : options.routed) {
    even = std::max(even, static_cast<std::int64_t>(load.pairs.size()));
  }
  return even;
}

std::int64_t most_rows(const ProfileOptions& options) {
  std::int64_t most = options.max_rows;
  for (const ReceivedLoad& load : options.routed) most = std::max<std::int64_t>(most, load.rows);
  return most;
}

/// One rank's part in measuring a profile. All ranks go the same way: whatever decides it is agreed
/// on first.
class Profiler {
 public:
  Profiler(const Comm& comm, Device& device, const ModelShape& model, MoeLayers& layers,
           const ExpertStore& store, std::span<const Placement> weights,
           const ProfileOptions& options)
      : comm_(comm),
        layers_(layers),
        model_layers_(model.layers),
        options_(options),
        load_points_(options.load_points.empty()
                         ? profile_load_points(options.max_load, options.slots)
                         : options.load_points),
        coarse_(load_points_.size()),
        bench_(device, model, most_pairs(load_points_.back(), options),
               {most_rows(options), options.seed, options.step}, options.slots),
        random_(options.seed) {
    for (const Placement& placement : weights) {
      for (int layer = 0; layer < model.layers; ++layer) {
        weights_.push_back(store.slots(placement, layer));
      }
    }
    if (options.load_points.empty()) active_ = active_points(options);
    for (const auto load_point : load_points_) add({load_point, options.slots});
    for (std::size_t i = 0; i < active_.points(); ++i) {
      add({active_.load_at(i), active_.active_at(i)});
    }
    routed_at_ = points_.size();
    for (const ReceivedLoad& load : options.routed) {
      add({static_cast<std::int64_t>(load.pairs.size()), kRouted});
    }
  }

  MeasuredProfile measure() {
    warm_up();
    if (options_.load_points.empty()) search();
    keep_load_points();
    repeat(kRepeatShare);
    measure_dents_again();
    repeat(1);
    result_.seconds = spent();
    return collect();
  }

 private:
  /// Tokens, and the experts that share them evenly; kRouted: by the next of options_.routed.
  struct Load {
    std::int64_t tokens = 0;
    int active = 1;
    bool operator==(const Load&) const = default;
  };
  static constexpr int kRouted = 0;
  /// A load and its readings, [round].
  struct Point {
    Load load;
    std::vector<double> seconds;
  };
  using Points = std::vector<std::size_t>;

  std::size_t add(const Load& load) {
    points_.push_back({load, std::vector<double>(rounds_, kNoReading)});
    return points_.size() - 1;
  }
  std::size_t find(std::int64_t tokens) const {
    const auto is_it = [&](const Point& p) { return p.load == Load{tokens, options_.slots}; };
    return sz(std::ranges::find_if(points_, is_it) - points_.begin());
  }
  [[nodiscard]] double spent() const { return wall_seconds() - begin_; }
  /// Collective: whether so many rounds of these points end before this share of the budget.
  [[nodiscard]] bool fits(const Points& which, std::size_t rounds, double share) const {
    double work = 0;
    for (const auto point : which) work += work_of(points_[point].load);
    const double end = spent() + static_cast<double>(rounds) * work * seconds_per_work_;
    return comm_.max(end) <= share * options_.budget_seconds;
  }
  /// A reading costs time without any tokens too.
  static double work_of(const Load& load) { return static_cast<double>(load.tokens) + 8; }

  /// Reads each of these points once, in one random order on all ranks; returns the sum of their
  /// times.
  double round(Points which) {
    if (options_.before_round) options_.before_round();
    random_.shuffle(which);
    const double begin = wall_seconds();
    double sum = 0, work = 0;
    for (auto& point : points_) point.seconds.push_back(kNoReading);
    ++rounds_;
    for (const auto point : which) {
      if (options_.progress) options_.progress->enter(Phase::profile);
      const Load& load = points_[point].load;
      const auto first = static_cast<int>((turn_ / weights_.size()) % sz(options_.slots));
      const auto& weights = weights_[turn_++ % weights_.size()];
      const ReceivedLoad made = load.active == kRouted
                                    ? ReceivedLoad{}
                                    : even_load({load.tokens, load.active, first, options_.slots,
                                                 options_.max_rows, options_.rows_per_pair});
      const ReceivedLoad& received =
          load.active == kRouted ? options_.routed[point - routed_at_] : made;
      // As in a layer: ranks run a barrier, the routing and another barrier before the experts.
      // With readings back to back, caches would be warm that in a run are used by the router, the
      // exchange and ranks on the same CPU in between.
      comm_.barrier();
      overheads_.push_back(layers_.time_overhead(static_cast<int>(turn_ % sz(model_layers_))));
      comm_.barrier();
      const double seconds = bench_.seconds(received, weights, options_.clock) * options_.slowdown;
      points_[point].seconds.back() = seconds;
      sum += seconds;
      work += work_of(load);
    }
    if (options_.progress) options_.progress->enter(Phase::profile);
    seconds_per_work_ = (wall_seconds() - begin) / work;
    return sum;
  }

  void warm_up() {
    Points sweeps(routed_at_);
    std::iota(sweeps.begin(), sweeps.end(), std::size_t{0});
    double before = round(sweeps);
    for (result_.warmup_rounds = 1; !result_.warm; ++result_.warmup_rounds) {
      if (result_.warmup_rounds == kMostWarmups || !fits(sweeps, 1, kWarmupShare)) break;
      const double now = round(sweeps);
      result_.warm = comm_.max(std::abs(now / before - 1)) <= kWarm;
      before = now;
    }
    for (auto& point : points_) point.seconds.clear();
    overheads_.clear();
    rounds_ = 0;
  }

  /// Adds load points where the coarse sweep's lines miss the curve.
  void search() {
    LoadPointSearch search(load_points_, options_.slots);
    while (!search.probes().empty()) {
      const auto probes = search.probes();
      Points which;
      for (const auto& probe : probes) {
        which.insert(which.end(),
                     {find(probe.low), add({probe.at, options_.slots}), find(probe.high)});
      }
      std::sort(which.begin(), which.end());
      which.erase(std::unique(which.begin(), which.end()), which.end());
      // What comes after the search has its time too.
      Points later(which);
      for (std::size_t i = coarse_; i < routed_at_ + options_.routed.size(); ++i) {
        later.push_back(i);
      }
      if (!fits(which, kProbeRounds, kSearchShare) || !fits(later, kProbeRounds, 1)) break;
      for (std::size_t i = 0; i < kProbeRounds; ++i) round(which);
      std::vector<double> missed;
      for (const auto& probe : probes) {
        missed.push_back(
            missed_by(probe, {latest(probe.low), latest(probe.at), latest(probe.high)}));
      }
      search.judge(largest(comm_, missed));
    }
    load_points_ = search.load_points();
  }
  [[nodiscard]] std::span<const double> latest(std::int64_t tokens) const {
    return std::span(points_[find(tokens)].seconds).last(kProbeRounds);
  }

  /// Drops probes that became no load points, and puts points in the order of ProfileSamples.
  void keep_load_points() {
    std::vector<Point> kept;
    for (const auto load_point : load_points_) kept.push_back(points_[find(load_point)]);
    const std::size_t others = active_.points() + options_.routed.size();
    for (std::size_t i = 0; i < others; ++i) kept.push_back(points_[i + coarse_]);
    points_ = std::move(kept);
    routed_at_ = load_points_.size() + active_.points();
  }

  /// Until every median is tight, or this share of the budget is spent.
  void repeat(double share) {
    while (rounds_ < options_.most_rounds) {
      std::vector<double> width;
      Points lacking;  // what is measured in any case
      for (std::size_t i = 0; i < points_.size(); ++i) {
        const Point& point = points_[i];
        const Median median = median_of(point.seconds);
        if (median.readings < kLeastReadings) lacking.push_back(i);
        // The time without work need not be within a percent.
        width.push_back(point.load.tokens == 0 && median.readings >= Median::kLeastReadings
                            ? 0
                            : median.half_width());
      }
      width = largest(comm_, width);
      Points which;
      for (std::size_t i = 0; i < width.size(); ++i) {
        if (width[i] > options_.tolerance) which.push_back(i);
      }
      result_.tight = which.empty();
      if (which.empty()) return;
      const bool fit = fits(which, 1, share);
      if (!fit && lacking.empty()) return;
      round(fit ? which : lacking);
    }
  }

  /// Whether a fall of the curve was a disturbance: more readings of both its ends.
  void measure_dents_again() {
    std::vector<double> dented(load_points_.size(), 0);
    for (std::size_t k = 1; k < load_points_.size(); ++k) {
      if (!falls(median_of(points_[k - 1].seconds), median_of(points_[k].seconds))) continue;
      dented[k - 1] = dented[k] = 1;
    }
    dented = largest(comm_, dented);
    Points which;
    for (std::size_t k = 0; k < dented.size(); ++k) {
      if (dented[k] > 0) which.push_back(k);
    }
    if (which.empty()) return;
    for (int i = 0; i < kDentRounds && rounds_ < options_.most_rounds && fits(which, 1, 1); ++i) {
      round(which);
    }
  }

  /// Everything on rank 0.
  MeasuredProfile collect() {
    Profile& profile = result_.profile;
    std::vector<double> latency, spread, samples;
    for (const auto& point : points_) {
      auto known = point.seconds;
      std::erase_if(known, [](double s) { return std::isnan(s); });
      latency.push_back(quantile(known, 0.5));
      spread.push_back(quantile(known, 0.75) - quantile(known, 0.25));
      samples.insert(samples.end(), point.seconds.begin(), point.seconds.end());
    }
    const double overhead = quantile(overheads_, 0.5);
    const auto load_points = load_points_.size();
    const auto gather = [&](std::span<const double> mine) { return comm_.gather(mine); };
    profile.latency = gather(std::span(latency).first(load_points));
    profile.spread = gather(std::span(spread).first(load_points));
    active_.latency = gather(std::span(latency).subspan(load_points, active_.points()));
    profile.routed.points = options_.routed.size();
    profile.routed.latency = gather(std::span(latency).subspan(routed_at_));
    std::vector<std::int32_t> tokens;
    for (const ReceivedLoad& load : options_.routed) {
      tokens.insert(tokens.end(), load.slot_tokens.begin(), load.slot_tokens.end());
    }
    profile.routed.tokens = comm_.gather(std::span<const std::int32_t>(tokens));
    profile.overhead = gather({&overhead, 1});
    profile.slowdown = gather({&options_.slowdown, 1});
    result_.samples.seconds = gather(samples);
    if (comm_.rank() != 0) return {};
    result_.samples.ranks = profile.ranks = comm_.size();
    result_.samples.points = points_.size();
    result_.samples.rounds = rounds_;
    profile.load_points = load_points_;
    profile.slots = options_.slots;
    profile.active = active_;
    profile.clock = name_of(options_.clock);
    return std::move(result_);
  }

  const Comm& comm_;
  MoeLayers& layers_;
  int model_layers_;
  const ProfileOptions& options_;
  std::vector<std::int64_t> load_points_;
  std::size_t coarse_;  // load points at first
  ExpertBench bench_;
  Random random_;
  const double begin_ = wall_seconds();
  std::vector<std::vector<const Buffer*>> weights_;  // [placement, layer][slot]
  ActiveSweep active_;
  /// Coarse load points, active sweep, routed loads, then what search() added.
  std::vector<Point> points_;
  std::size_t routed_at_ = 0;  // the first of the routed loads
  std::vector<double> overheads_;
  std::size_t turn_ = 0, rounds_ = 0;
  double seconds_per_work_ = 0;
  MeasuredProfile result_;
};

}  // namespace

std::vector<std::int64_t> profile_load_points(std::int64_t max_load, int slots) {
  std::vector<std::int64_t> load_points{0};
  for (std::int64_t each = 1; each == 1 || each * slots < 2 * max_load; each *= 2) {
    load_points.push_back(each * slots);
  }
  // The last load point is the largest load itself; nothing is measured beyond it.
  while (load_points.size() > 1 && load_points.back() >= max_load) load_points.pop_back();
  load_points.push_back(max_load);
  return load_points;
}

ActiveSweep active_points(const ProfileOptions& options) {
  constexpr std::int64_t kEach = 16;
  ActiveSweep sweep;
  const auto most = std::min(options.max_load, options.max_rows);
  if (options.slots < 2 || most < 2) return sweep;
  const auto least = static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::min<std::int64_t>(options.slots, most))));
  const auto more = static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::min(kEach * least, most))));
  sweep.loads = {least};
  if (more > least) sweep.loads.push_back(more);
  for (std::int32_t active = 1; active <= least; active *= 2) sweep.active.push_back(active);
  return sweep;
}

MeasuredProfile measure_profile(const Comm& comm, Device& device, const ModelShape& model,
                                MoeLayers& layers, const ExpertStore& store,
                                std::span<const Placement> weights, const ProfileOptions& options) {
  MeasuredProfile measured =
      Profiler(comm, device, model, layers, store, weights, options).measure();
  if (comm.rank() == 0) measured.profile.device = device.name();
  return measured;
}

}  // namespace gembench::inline profiler
