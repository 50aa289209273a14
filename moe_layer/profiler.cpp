#include "moe_layer/profiler.hpp"

#include <algorithm>
#include <numeric>

#include "moe_layer/cpu_gemm.hpp"
#include "placement/random.hpp"
#include "placement/score.hpp"

namespace gembench {
namespace {

constexpr int kMinRounds = 3;
constexpr int kMaxRounds = 25;

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

/// The expert phase of one rank under a made-up load, with buffers of its own.
class ExpertBench {
 public:
  ExpertBench(Device& device, const ModelShape& model, std::int64_t max_load, std::int64_t max_rows,
              int slots)
      : device_(device), stream_(device.make_stream()), slots_(slots), max_rows_(max_rows) {
    const std::size_t row = sz(model.hidden) * size_of(device.dtype());
    rows_ = device.allocate(sz(max_rows) * row);
    results_ = device.allocate(sz(max_rows) * row);
    sums_ = device.allocate(sz(max_rows) * sz(model.hidden) * sizeof(float));
    pairs_ = device.allocate(sz(max_load) * sizeof(Pair));
    slot_tokens_ = device.allocate(sz(slots) * sizeof(std::int32_t));
    const std::vector<char> zeros(sz(max_rows) * row, 0);
    device.upload(rows_, 0, zeros.data(), zeros.size());
  }

  double seconds(std::int64_t load, std::span<const Buffer* const> weights, Clock clock) {
    std::vector<Pair> pairs(sz(load));
    pairs_to_.assign(sz(slots_), 0);
    const auto rows = std::max<std::int64_t>(1, std::min(load, max_rows_));
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      // As pairs arrive: those of a row side by side, for different experts.
      pairs[i] = {static_cast<std::int32_t>(i * sz(rows) / pairs.size()),
                  static_cast<std::int32_t>(i % sz(slots_)), 1.0F};
      ++pairs_to_[i % sz(slots_)];
    }
    device_.upload(pairs_, 0, pairs.data(), pairs.size() * sizeof(Pair));
    const std::int32_t rows_in = load == 0 ? 0 : static_cast<std::int32_t>(rows);
    const auto pairs_in = static_cast<std::int32_t>(load);
    ExpertArgs args;
    args.slots = weights;
    args.rows_from = {&rows_in, 1};
    args.pairs_from = {&pairs_in, 1};
    args.pairs_to = pairs_to_;
    args.rows = &rows_;
    args.pairs = &pairs_;
    args.sums = &sums_;
    args.results = &results_;
    args.slot_tokens = &slot_tokens_;
    device_.synchronize(stream_);
    const double begin = read(clock);
    device_.experts(stream_, args);
    device_.synchronize(stream_);
    return read(clock) - begin;
  }

 private:
  Device& device_;
  Stream stream_;
  int slots_;
  std::int64_t max_rows_;
  std::vector<std::int32_t> pairs_to_;  // [slot]
  Buffer rows_, results_, sums_, pairs_, slot_tokens_;
};

struct MedianAndSpread {
  double median = 0;
  double spread = 0;
};
MedianAndSpread summary(const std::vector<double>& samples) {
  return {quantile(samples, 0.5), quantile(samples, 0.75) - quantile(samples, 0.25)};
}

}  // namespace

std::vector<std::int64_t> profile_knots(std::int64_t max_load, int slots) {
  std::vector<std::int64_t> knots{0};
  const std::int64_t chunk = CpuGemm::kChunk;
  for (std::int64_t each : {1, 2, 4, 8, 16, 32, 64, 128}) knots.push_back(each * slots);
  for (std::int64_t each = chunk; each * slots < 2 * max_load; each *= 2) {
    knots.push_back(each * slots);
  }
  // The last knot is the largest load itself; nothing is measured beyond it.
  while (knots.size() > 2 && knots.back() >= max_load) knots.pop_back();
  if (knots.back() < max_load) knots.push_back(max_load);
  return knots;
}

Profile measure_profile(const Comm& comm, Device& device, const ModelShape& model,
                        MoeLayers& layers, ExpertStore& store, const Placement& placement,
                        const ProfileOptions& options) {
  const auto knots = profile_knots(options.max_load, options.slots);
  ExpertBench bench(device, model, knots.back(), options.max_rows, options.slots);
  std::vector<std::vector<const Buffer*>> weights;
  for (int layer = 0; layer < model.layers; ++layer) {
    weights.push_back(store.slots(placement, layer));
  }

  std::vector<std::vector<double>> samples(knots.size());
  std::vector<double> overheads;
  std::vector<std::size_t> order(knots.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(options.seed + static_cast<std::uint64_t>(comm.rank()));
  std::size_t turn = 0;
  const double begin = wall_seconds();
  for (int round = -1; round < kMaxRounds; ++round) {  // round -1 warms up
    // Stop together, since ranks that measure alone see a quieter machine.
    const double spent = comm.max(wall_seconds() - begin);
    if (round >= kMinRounds && spent > options.budget_seconds) break;
    random.shuffle(order);
    for (const std::size_t knot : order) {
      if (options.progress) options.progress->enter(Phase::profile);
      const auto& turn_weights = weights[turn++ % weights.size()];
      const double seconds =
          bench.seconds(knots[knot], turn_weights, options.clock) * options.slowdown;
      const double overhead = layers.time_overhead();
      if (round < 0) continue;
      samples[knot].push_back(seconds);
      overheads.push_back(overhead);
    }
    if (options.progress) options.progress->enter(Phase::profile);
  }

  std::vector<double> latency, spread;
  for (const auto& taken : samples) {
    const auto [median, iqr] = summary(taken);
    latency.push_back(median);
    spread.push_back(iqr);
  }
  const double overhead = summary(overheads).median;
  Profile profile;
  profile.latency = comm.gather(std::span<const double>(latency));
  profile.spread = comm.gather(std::span<const double>(spread));
  profile.overhead = comm.gather(std::span<const double>(&overhead, 1));
  profile.slowdown = comm.gather(std::span<const double>(&options.slowdown, 1));
  if (comm.rank() != 0) return {};
  profile.ranks = comm.size();
  profile.knots = knots;
  profile.device = device.name();
  profile.clock = name_of(options.clock);
  return profile;
}

}  // namespace gembench
