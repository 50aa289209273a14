#include "moe_layer/cpu_device.hpp"

#include <numeric>

#include "moe_layer/row_math.hpp"

namespace gembench {
namespace {

std::size_t sz(int value) {
  return static_cast<std::size_t>(value);
}

}  // namespace

void CpuDevice::to_payload(const float* from, char* to, std::size_t n) const {
  if (dtype_ == DType::f32) {
    std::memcpy(to, from, n * sizeof(float));
    return;
  }
  round_to_bf16(from, reinterpret_cast<std::uint16_t*>(to), n);
}

void CpuDevice::experts(Stream, const ExpertArgs& args) {
  const auto* pairs = args.pairs->as<Pair>();
  auto* slot_tokens = args.slot_tokens->as<std::int32_t>();
  const std::size_t slots = args.slots.size();
  std::fill_n(slot_tokens, slots, 0);

  // Rows are numbered per source; count them over all sources. Then sort pairs by slot.
  std::size_t pair = 0;
  std::int32_t first_row = 0;
  absolute_.clear();
  for (std::size_t source = 0; source < args.pairs_from.size(); ++source) {
    for (std::int32_t i = 0; i < args.pairs_from[source]; ++i, ++pair) {
      absolute_.push_back(first_row + pairs[pair].row);
      ++slot_tokens[pairs[pair].slot];
    }
    first_row += args.rows_from[source];
  }
  const std::size_t rows = sz(first_row);
  order_.resize(pair);
  slot_at_.assign(slots + 1, 0);
  std::partial_sum(slot_tokens, slot_tokens + slots, slot_at_.begin() + 1);
  for (std::size_t p = 0; p < pair; ++p) {
    order_[sz(slot_at_[sz(pairs[p].slot)]++)] = static_cast<std::int32_t>(p);
  }

  float* sums = args.sums->as<float>();
  std::fill_n(sums, rows * hidden_, 0.0F);
  const std::int32_t* next = order_.data();
  for (std::size_t slot = 0; slot < slots; ++slot) {
    for (int left = slot_tokens[slot]; left > 0; left -= CpuGemm::kChunk) {
      const int m = std::min(left, CpuGemm::kChunk);
      for (int i = 0; i < m; ++i) {
        std::memcpy(gathered_.data() + sz(i) * row_bytes_,
                    args.rows->as<char>() + sz(absolute_[sz(next[i])]) * row_bytes_, row_bytes_);
      }
      feed_forward(m, gathered_.data(), *args.slots[slot]);
      for (int i = 0; i < m; ++i) {
        add_scaled(sums + sz(absolute_[sz(next[i])]) * hidden_, product_.data() + sz(i) * hidden_,
                   pairs[next[i]].weight, hidden_);
      }
      next += m;
    }
  }
  to_payload(sums, args.results->as<char>(), rows * hidden_);
}

void CpuDevice::shared_experts(Stream, const SharedArgs& args) {
  float* sums = args.sums->as<float>();
  std::fill_n(sums, sz(args.tokens) * hidden_, 0.0F);
  for (const Buffer* expert : args.experts) {
    for (int t = 0; t < args.tokens; t += CpuGemm::kChunk) {
      const int m = std::min(CpuGemm::kChunk, args.tokens - t);
      const char* rows = args.payload->as<char>() + sz(t) * row_bytes_;
      if (CpuGemm::padded(m) > m) {  // the payload ends with the last token
        std::memcpy(gathered_.data(), rows, sz(m) * row_bytes_);
        rows = gathered_.data();
      }
      feed_forward(m, rows, *expert);
      add_scaled(sums + sz(t) * hidden_, product_.data(), 1.0F, sz(m) * hidden_);
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

}  // namespace gembench
