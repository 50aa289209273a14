#include "moe_layer/cpu/experts.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/cpu/memory.hpp"
#include "moe_layer/cpu/row_math.hpp"
#include "moe_layer/cpu/tuning.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {
namespace {

// A pair's entry of absolute_: its row, counted over all sources, and which part its product has in
// the sum of the row's products. The first one is written, not added; the last one leaves the
// result, so that a row of one pair never meets the f32 sums.
constexpr std::int32_t kBegins = 1, kEnds = 2, kRowStep = 4;

}  // namespace

CpuExperts::CpuExperts(const ModelShape& model, DType dtype)
    : model_(model),
      dtype_(dtype),
      hidden_(sz(model.hidden)),
      row_bytes_(hidden_ * size_of(dtype)),
      ffn_(model.hidden, model.ffn, dtype),
      gathered_(cpu_memory(CpuGemm::kChunk * row_bytes_)) {
  std::memset(gathered_.as<char>(), 0, gathered_.bytes());
}

void CpuExperts::prepare(const Comm& comm, const LayerLimits& limits) {
  if (!worth_measuring(model_.hidden, model_.ffn)) {
    ffn_.prepare(ChunkPlan(assumed_costs()));
  } else {
    // Measured once per shape and process. All layers and experts of a run have one plan, and so
    // have all ranks with the same kind of CPU: if each used its own readings, noise in them would
    // look like a slower rank. Ranks with other CPUs have their own plan, which suits their speed;
    // results differ by rounding at most. Every rank makes the same devices in the same order, so
    // that all of them know a shape or none does.
    using Shape = std::tuple<int, int, DType, int>;
    static std::map<Shape, ChunkPlan> known;
    const Shape shape{model_.hidden, model_.ffn, dtype_, comm.size()};
    auto found = known.find(shape);
    if (found == known.end())
      found = known.emplace(shape, ChunkPlan(agreed_costs(comm, ffn_, row_bytes_, dtype_))).first;
    ffn_.prepare(found->second);
  }
  order_.reserve(limits.pairs);
  absolute_.reserve(limits.pairs);
}

std::size_t CpuExperts::scratch_bytes(const LayerLimits& limits) const {
  const std::size_t lists = 2 * limits.pairs * sizeof(std::int32_t);
  return lists + (worth_measuring(model_.hidden, model_.ffn) ? measuring_bytes(expert_bytes()) : 0);
}

std::size_t CpuExperts::sort_pairs(const ExpertArgs& args) {
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
      // The pairs of a row are contiguous; slots are computed in ascending order.
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

void CpuExperts::deliver(std::int32_t absolute, float weight, const float* product,
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

const char* CpuExperts::gathered(std::span<const std::int32_t> chunk, int computed,
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

void CpuExperts::experts(const ExpertArgs& args) {
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
      const int computed = ffn_.plan().rows_of(left, left == tokens);
      const int m = std::min(left, computed);
      const char* rows_in = gathered({next, sz(m)}, computed, *args.rows);
      const float* product = ffn_.run(computed, rows_in, args.slots[slot]->as<char>());
      for (int i = 0; i < m; ++i) {
        deliver(absolute_[sz(next[i])], pairs[next[i]].weight, product + sz(i) * hidden_, args);
      }
      next += m;
      left -= m;
    }
  }
}

void CpuExperts::shared_experts(const SharedArgs& args) {
  float* sums = args.sums->as<float>();
  if (args.experts.empty()) std::fill_n(sums, sz(args.tokens) * hidden_, 0.0F);
  for (const Buffer* expert : args.experts) {
    for (int t = 0; t < args.tokens;) {
      const int computed = ffn_.plan().rows_of(args.tokens - t, t == 0);
      const int m = std::min(args.tokens - t, computed);
      const char* rows = args.payload->as<char>() + sz(t) * row_bytes_;
      if (computed > m) {  // the payload ends with the last token
        std::memcpy(gathered_.as<char>(), rows, sz(m) * row_bytes_);
        rows = gathered_.as<char>();
      }
      const float* product = ffn_.run(computed, rows, expert->as<char>());
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

}  // namespace gembench::inline cpu
