#include "moe_layer/profiler/expert_bench.hpp"

#include <algorithm>
#include <cmath>

#include "moe_layer/model/weights.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline profiler {
namespace {

constexpr std::size_t kRowsAtOnce = 256;
constexpr float kRmsEpsilon = 1e-6F;

/// As route() does, but on the host.
void normalise(std::span<float> row) {
  float squares = 0;
  for (const float x : row) squares += x * x;
  const float scale = 1 / std::sqrt(squares / static_cast<float>(row.size()) + kRmsEpsilon);
  for (float& x : row) x *= scale;
}

void upload_inputs(Device& device, Buffer& to, const BenchInput& input, int hidden) {
  const std::size_t width = sz(hidden), bytes = size_of(device.dtype());
  std::vector<float> values;
  std::vector<std::uint16_t> rounded;
  for (std::size_t first = 0; first < sz(input.rows); first += kRowsAtOnce) {
    const std::size_t rows = std::min(kRowsAtOnce, sz(input.rows) - first);
    values.resize(rows * width);
    fill_input(values, input.seed, input.step, static_cast<int>(first), hidden);
    for (std::size_t row = 0; row < rows; ++row) {
      normalise(std::span(values).subspan(row * width, width));
    }
    const void* from = values.data();
    if (device.dtype() == DType::bf16) {
      rounded.resize(values.size());
      std::ranges::transform(values, rounded.begin(), to_bf16);
      from = rounded.data();
    }
    device.upload(to, first * width * bytes, from, values.size() * bytes);
  }
}

}  // namespace

ExpertBench::ExpertBench(Device& device, const ModelShape& model, std::int64_t max_load,
                         const BenchInput& input, int slots)
    : device_(device), stream_(device.make_stream()) {
  const std::size_t values = sz(input.rows) * sz(model.hidden);
  rows_ = device.allocate(values * size_of(device.dtype()));
  results_ = device.allocate(values * size_of(device.dtype()));
  if (device.needs_sums()) sums_ = device.allocate(values * sizeof(float));
  pairs_ = device.allocate(sz(max_load) * sizeof(Pair));
  slot_tokens_ = device.allocate(sz(slots) * sizeof(std::int32_t));
  upload_inputs(device, rows_, input, model.hidden);
}

double ExpertBench::seconds(const ReceivedLoad& load, std::span<const Buffer* const> weights,
                            Clock clock) {
  device_.upload(pairs_, 0, load.pairs.data(), load.pairs.size() * sizeof(Pair));
  const auto pairs_in = static_cast<std::int32_t>(load.pairs.size());
  ExpertArgs args;
  args.slots = weights;
  args.rows_from = {&load.rows, 1};
  args.pairs_from = {&pairs_in, 1};
  args.pairs_to = load.slot_tokens;
  args.rows = &rows_;
  args.pairs = &pairs_;
  args.sums = &sums_;  // empty where it is not needed
  args.results = &results_;
  args.slot_tokens = &slot_tokens_;
  device_.synchronize(stream_);
  const double begin = read(clock);
  device_.experts(stream_, args);
  device_.synchronize(stream_);
  return read(clock) - begin;
}

}  // namespace gembench::inline profiler
