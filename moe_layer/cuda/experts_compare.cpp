// Which of the two ways to compute the experts is used for a load: measured before a run, since
// cuBLAS's grouped kernel is not the fastest at every load on every GPU.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "moe_layer/cuda/experts.hpp"
#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::size_t kMadeRows = 256;                   // on the host; then they repeat
constexpr std::size_t kCompared = std::size_t{1} << 20;  // values of an output, its last ones
constexpr float kTolerance =
    0.02F;  // of the largest value: both round to bf16, sums differ in order
constexpr int kRounds = 3;

/// 1, 2, 4, ... and `most`.
std::vector<std::int64_t> sizes_up_to(std::int64_t most) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 1; size < most; size *= 2) sizes.push_back(size);
  if (most > 0) sizes.push_back(most);
  return sizes;
}

bool alike(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
  float largest = 0, apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float x = from_bf16(a[i]), y = from_bf16(b[i]);
    if (!std::isfinite(x) || !std::isfinite(y)) return false;
    largest = std::max({largest, std::abs(x), std::abs(y)});
    apart = std::max(apart, std::abs(x - y));
  }
  return apart <= kTolerance * largest;
}

}  // namespace

void Experts::fill_rows(cudaStream_t stream, std::size_t rows) {
  const std::size_t width = sz(model_.hidden), made = std::min(rows, kMadeRows);
  std::vector<float> values(made * width);
  fill_input(values, 0, 0, 0, model_.hidden);
  std::vector<std::uint16_t> halves(dtype_ == DType::bf16 ? values.size() : 0);
  std::transform(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(halves.size()),
                 halves.begin(), to_bf16);
  const void* from = halves.empty() ? static_cast<const void*>(values.data()) : halves.data();
  for (std::size_t row = 0; row < rows; row += made) {
    const std::size_t bytes = std::min(made, rows - row) * width * element_;
    check(cudaMemcpyAsync(at_row(gathered_, row, model_.hidden), from, bytes,
                          cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync", at_);
  }
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
}

double Experts::time_way(cudaStream_t stream, const ExpertArgs& args, bool grouped, int rounds) {
  double least = HUGE_VAL;
  for (int round = 0; round < rounds; ++round) {
    const double begin = wall_seconds();
    run_products(stream, args, grouped);
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
    least = std::min(least, wall_seconds() - begin);
  }
  return least;
}

std::vector<std::uint16_t> Experts::last_outputs(cudaStream_t stream, std::size_t pairs) {
  const std::size_t all = pairs * sz(model_.hidden), count = std::min(all, kCompared);
  std::vector<std::uint16_t> values(count);
  check(cudaMemcpyAsync(values.data(), outputs_.as<std::uint16_t>() + (all - count),
                        count * sizeof(std::uint16_t), cudaMemcpyDeviceToHost, stream),
        "cudaMemcpyAsync", at_);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  return values;
}

void Experts::compare(cudaStream_t stream, std::span<const Buffer* const> slots, const Comm& comm) {
  const auto sizes = sizes_up_to(comm.min(static_cast<std::int64_t>(most_pairs_)));
  std::vector<std::size_t> filled;
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] != nullptr) filled.push_back(slot);
  }
  std::vector<std::int64_t> nanoseconds(2 * sizes.size() + 1);  // [size][way], then wrong ones
  std::vector<std::int32_t> counts(slots.size());
  const auto load = [&](std::int64_t pairs, std::size_t experts) {
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t i = 0; i < experts; ++i) {
      const auto before = static_cast<std::int64_t>(i) * pairs / static_cast<std::int64_t>(experts);
      const auto upto =
          static_cast<std::int64_t>(i + 1) * pairs / static_cast<std::int64_t>(experts);
      counts[filled[i]] = static_cast<std::int32_t>(upto - before);
    }
    const auto all = static_cast<std::int32_t>(pairs);
    ExpertArgs args;
    args.slots = slots;
    args.rows_from = args.pairs_from = {&all, 1};
    args.pairs_to = counts;
    fill_table(stream, args);
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
    args.rows_from = args.pairs_from = {};
    return args;
  };
  if (!filled.empty() && !sizes.empty()) fill_rows(stream, sz(sizes.back()));
  for (std::size_t i = 0; i < sizes.size() && !filled.empty(); ++i) {
    // A single expert with everything: its size of product may be a kernel of its own.
    const ExpertArgs one = load(sizes[i], 1);
    for (const bool grouped : {false, true}) {
      if (grouped <= grouped_) time_way(stream, one, grouped, 1);
    }
    const ExpertArgs even = load(sizes[i], std::min(filled.size(), sz(sizes[i])));
    std::vector<std::uint16_t> outputs[2];
    for (const bool grouped : {false, true}) {
      if (grouped > grouped_) continue;
      static_cast<void>(time_way(stream, even, grouped, 1));
      if (!grouped_) continue;
      outputs[grouped ? 1 : 0] = last_outputs(stream, sz(sizes[i]));
      nanoseconds[2 * i + (grouped ? 1 : 0)] =
          std::llround(time_way(stream, even, grouped, kRounds) * 1e9);
    }
    if (!alike(outputs[0], outputs[1])) ++nanoseconds.back();
  }
  comm.sum_in_place(nanoseconds);  // all ranks take the same way, or some would be slow by it
  wrong_ = nanoseconds.back() > 0;
  ways_.clear();
  for (std::size_t i = 0; grouped_ && i < sizes.size(); ++i) {
    ways_.push_back({sizes[i], !wrong_ && nanoseconds[2 * i + 1] <= nanoseconds[2 * i]});
  }
}

bool Experts::groups(std::int64_t pairs) const {
  if (ways_.empty()) return grouped_;
  const auto way = std::ranges::lower_bound(ways_, pairs, {}, &Way::pairs);
  return way == ways_.end() ? ways_.back().grouped : way->grouped;
}

std::string Experts::way() const {
  if (!grouped_) return "one by one";
  if (wrong_) return "one by one: what cuBLAS's grouped call computed was wrong";
  if (ways_.empty()) return "grouped";
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < ways_.size(); ++i) {
    if (i + 1 < ways_.size() && ways_[i + 1].grouped == ways_[i].grouped) continue;
    parts.push_back(fmt::format("{} up to {} assignments",
                                ways_[i].grouped ? "grouped" : "one by one", ways_[i].pairs));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace gembench::inline cuda
