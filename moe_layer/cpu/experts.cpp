#include "moe_layer/cpu/device.hpp"

#include <numeric>

#include "moe_layer/cpu/row_math.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {
namespace {

// A pair's entry of absolute_: its row, counted over all sources, and which part its product has in
// the sum of the row's products. The first one is written, not added; the last one leaves the
// result, so that a row of one pair never meets the f32 sums.
constexpr std::int32_t kBegins = 1, kEnds = 2, kRowStep = 4;

}  // namespace

void CpuDevice::to_payload(const float* from, char* to, std::size_t n) const {
  if (dtype_ == DType::f32) {
    std::memcpy(to, from, n * sizeof(float));
    return;
  }
  round_to_bf16(from, reinterpret_cast<std::uint16_t*>(to), n);
}

std::size_t CpuDevice::sort_pairs(const ExpertArgs& args) {
  const auto* pairs = args.pairs->as<Pair>();
  auto* slot_tokens = args.slot_tokens->as<std::int32_t>();
  const std::size_t slots = args.slots.size();
  std::fill_n(slot_tokens, slots, 0);
  absolute_.clear();
  std::size_t rows_with_pairs = 0, at = 0;
  std::int32_t first_row = 0;
  for (std::size_t source = 0; source < args.pairs_from.size(); ++source) {
    const std::size_t end = at + sz(args.pairs_from[source]);
    while (at < end) {
      // The pairs of a row lie side by side; slots are computed in ascending order.
      const std::size_t begin = at;
      std::size_t first = at, last = at;
      for (; at < end && pairs[at].row == pairs[begin].row; ++at) {
        absolute_.push_back((first_row + pairs[at].row) * kRowStep);
        ++slot_tokens[pairs[at].slot];
        if (pairs[at].slot < pairs[first].slot) first = at;
        if (pairs[at].slot >= pairs[last].slot) last = at;
      }
      absolute_[first] |= kBegins;
      absolute_[last] |= kEnds;
      ++rows_with_pairs;
    }
    first_row += args.rows_from[source];
  }
  order_.resize(at);
  slot_at_.assign(slots + 1, 0);
  std::partial_sum(slot_tokens, slot_tokens + slots, slot_at_.begin() + 1);
  for (std::size_t p = 0; p < at; ++p) {
    order_[sz(slot_at_[sz(pairs[p].slot)]++)] = static_cast<std::int32_t>(p);
  }
  return rows_with_pairs;
}

void CpuDevice::deliver(std::int32_t absolute, float weight, const float* product,
                        const ExpertArgs& args) {
  const std::size_t row = sz(absolute / kRowStep);
  float* sum = args.sums->as<float>() + row * hidden_;
  const auto write = [&](auto* to) {
    if ((absolute & kBegins) != 0) {
      scale(to, product, weight, hidden_);
    } else {
      sum_scaled(to, sum, product, weight, hidden_);
    }
  };
  if ((absolute & kEnds) == 0) {
    if ((absolute & kBegins) != 0) {
      scale(sum, product, weight, hidden_);
    } else {
      add_scaled(sum, product, weight, hidden_);
    }
  } else if (dtype_ == DType::f32) {
    write(args.results->as<float>() + row * hidden_);
  } else {
    write(args.results->as<std::uint16_t>() + row * hidden_);
  }
}

const char* CpuDevice::gathered(std::span<const std::int32_t> chunk, int computed,
                                const Buffer& rows) {
  const auto row_of = [&](std::int32_t pair) { return sz(absolute_[sz(pair)] / kRowStep); };
  const std::size_t first = row_of(chunk.front());
  std::size_t in_order = 0;
  while (in_order < chunk.size() && row_of(chunk[in_order]) == first + in_order) ++in_order;
  if (in_order == chunk.size() && (first + sz(computed)) * row_bytes_ <= rows.bytes()) {
    return rows.as<char>() + first * row_bytes_;
  }
  char* to = gathered_.as<char>();
  for (const std::int32_t pair : chunk) {
    std::memcpy(to, rows.as<char>() + row_of(pair) * row_bytes_, row_bytes_);
    to += row_bytes_;
  }
  return gathered_.as<char>();
}

void CpuDevice::experts(Stream, const ExpertArgs& args) {
  const std::size_t rows_with_pairs = sort_pairs(args);
  const std::size_t rows =
      std::accumulate(args.rows_from.begin(), args.rows_from.end(), std::size_t{0},
                      [](std::size_t sum, std::int32_t count) { return sum + sz(count); });
  if (rows_with_pairs < rows) std::memset(args.results->as<char>(), 0, rows * row_bytes_);
  const auto* pairs = args.pairs->as<Pair>();
  const auto* slot_tokens = args.slot_tokens->as<std::int32_t>();
  const std::int32_t* next = order_.data();
  for (std::size_t slot = 0; slot < args.slots.size(); ++slot) {
    const int tokens = slot_tokens[slot];
    for (int left = tokens; left > 0;) {
      const int computed = experts_.plan().rows_of(left, left == tokens);
      const int m = std::min(left, computed);
      const char* rows_in = gathered({next, sz(m)}, computed, *args.rows);
      const float* product = experts_.run(computed, rows_in, args.slots[slot]->as<char>());
      for (int i = 0; i < m; ++i) {
        deliver(absolute_[sz(next[i])], pairs[next[i]].weight, product + sz(i) * hidden_, args);
      }
      next += m;
      left -= m;
    }
  }
}

void CpuDevice::shared_experts(Stream, const SharedArgs& args) {
  float* sums = args.sums->as<float>();
  if (args.experts.empty()) std::fill_n(sums, sz(args.tokens) * hidden_, 0.0F);
  for (const Buffer* expert : args.experts) {
    for (int t = 0; t < args.tokens;) {
      const int computed = experts_.plan().rows_of(args.tokens - t, t == 0);
      const int m = std::min(args.tokens - t, computed);
      const char* rows = args.payload->as<char>() + sz(t) * row_bytes_;
      if (computed > m) {  // the payload ends with the last token
        std::memcpy(gathered_.as<char>(), rows, sz(m) * row_bytes_);
        rows = gathered_.as<char>();
      }
      const float* product = experts_.run(computed, rows, expert->as<char>());
      float* sum = sums + sz(t) * hidden_;
      if (expert == args.experts.front()) {
        std::copy_n(product, sz(m) * hidden_, sum);
      } else {
        add_scaled(sum, product, 1.0F, sz(m) * hidden_);
      }
      t += m;
    }
  }
}

void CpuDevice::add_rows(int rows, const Buffer& returned, const Buffer& onto, float* sums) const {
  const auto* target_row = onto.as<std::int32_t>();
  for (std::size_t row = 0; row < sz(rows); ++row) {
    float* target = sums + sz(target_row[row]) * hidden_;
    const char* from = returned.as<char>() + row * row_bytes_;
    if (dtype_ == DType::f32) {
      add_scaled(target, reinterpret_cast<const float*>(from), 1.0F, hidden_);
    } else {
      add_bf16(target, reinterpret_cast<const std::uint16_t*>(from), hidden_);
    }
  }
}

void CpuDevice::combine(Stream, const CombineArgs& args) {
  float* x = args.hidden_state->as<float>();
  add_rows(args.rows, *args.returned, *args.row_token, x);
  if (args.shared) add_scaled(x, args.shared->as<float>(), 1.0F, sz(args.tokens) * hidden_);
}

}  // namespace gembench::inline cpu
