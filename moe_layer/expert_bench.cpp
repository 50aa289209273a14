#include "moe_layer/expert_bench.hpp"

#include <algorithm>

namespace gembench {
namespace {

std::size_t sz(std::int64_t value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

ExpertBench::ExpertBench(Device& device, const ModelShape& model, std::int64_t max_load,
                         std::int64_t max_rows, int slots)
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

double ExpertBench::seconds(const ExpertLoad& load, int first,
                            std::span<const Buffer* const> weights, Clock clock) {
  std::vector<Pair> pairs(sz(load.tokens));
  pairs_to_.assign(sz(slots_), 0);
  const auto rows = std::max<std::int64_t>(1, std::min(load.tokens, max_rows_));
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::size_t slot = (sz(first) + i % sz(load.active)) % sz(slots_);
    // As pairs arrive: those of a row side by side, for different experts.
    pairs[i] = {static_cast<std::int32_t>(i * sz(rows) / pairs.size()),
                static_cast<std::int32_t>(slot), 1.0F};
    ++pairs_to_[slot];
  }
  device_.upload(pairs_, 0, pairs.data(), pairs.size() * sizeof(Pair));
  const std::int32_t rows_in = load.tokens == 0 ? 0 : static_cast<std::int32_t>(rows);
  const auto pairs_in = static_cast<std::int32_t>(load.tokens);
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

}  // namespace gembench
