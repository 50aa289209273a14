#include "moe_layer/cuda/experts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/row_parts.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kPointerArrays = 6;  // a, b, c of both products
constexpr std::size_t kProductSizes = 3;   // n, rows, k

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

ExpertLayout expert_layout(const ModelShape& model, DType dtype) {
  const std::size_t matrix = sz(model.hidden) * sz(model.ffn) * size_of(dtype);
  return {aligned(2 * matrix), aligned(2 * matrix) + matrix};
}

Experts::Experts(const ModelShape& model, DType dtype, int ranks, const Wish& wish, Whereabouts& at)
    : model_(model),
      dtype_(dtype),
      ranks_(sz(ranks)),
      element_(size_of(dtype)),
      layout_(expert_layout(model, dtype)),
      at_(at),
      gemm_(at),
      wish_(wish),
      products_(model, dtype, gemm_, at),
      choice_(ExpertProducts::names()),
      failures_(ExpertProducts::names().size()) {
  const auto& names = ExpertProducts::names();
  const auto wished = sz(std::ranges::find(names, wish.name) - names.begin());
  const bool any = wish.name == "auto";
  if (!any && (wished == names.size() || !products_.lack(wished).empty())) {
    throw Error(
        ExitCode::environment,
        fmt::format("GPU {} of rank {} cannot have --expert-products {} ({}): use one of {}",
                    at.gpu, at.rank, wish.name,
                    wished == names.size() ? "it is not known" : products_.lack(wished),
                    fmt::join(ways(), ", ")));
  }
  for (std::size_t way = 0; way < names.size(); ++way) {
    usable_.push_back(products_.lack(way).empty() && (any || way == wished) ? 1 : 0);
  }
  // Until compare() has decided.
  choice_.fix(sz(std::ranges::find(usable_, 1) - usable_.begin()));
}

std::size_t Experts::rows_of(const LayerLimits& limits) {
  return std::max(limits.pairs, limits.tokens);
}

std::size_t Experts::table_bytes() const {
  const std::size_t sizes = 2 * kProductSizes * sz(model_.experts);
  return kPointerArrays * sz(model_.experts) * sizeof(void*) +
         (2 * (ranks_ + 1) + sz(model_.experts) + 1 + sizes) * sizeof(std::int32_t);
}

std::size_t Experts::scratch_bytes(const LayerLimits& limits) const {
  return rows_of(limits) * sz(3 * model_.ffn) * element_ +
         limits.pairs * sz(2 * model_.hidden) * element_ +
         (2 * limits.pairs + limits.rows) * sizeof(std::int32_t) +
         (wish_.graph ? 2 : 1) * aligned(table_bytes()) + chunk_bytes(limits) +
         products_.scratch_bytes() + ProductTrial::bytes(model_, dtype_, at_);
}

std::size_t Experts::chunk_bytes(const LayerLimits& limits) const {
  // A rank may get every expert.
  return sz(model_.experts) * sz(chunks_of(static_cast<int>(limits.pairs))) * sizeof(std::int32_t);
}

void Experts::prepare(const LayerLimits& limits) {
  most_pairs_ = limits.pairs;
  gathered_ = device_memory(limits.pairs * sz(model_.hidden) * element_, at_);
  outputs_ = device_memory(limits.pairs * sz(model_.hidden) * element_, at_);
  both_ = device_memory(rows_of(limits) * sz(2 * model_.ffn) * element_, at_);
  inner_ = device_memory(rows_of(limits) * sz(model_.ffn) * element_, at_);
  sorted_row_ = device_memory(limits.pairs * sizeof(std::int32_t), at_);
  position_ = device_memory(limits.pairs * sizeof(std::int32_t), at_);
  first_pair_ = device_memory(limits.rows * sizeof(std::int32_t), at_);
  chunk_pairs_ = device_memory(chunk_bytes(limits), at_);
  auto& [first, second] = work_.products;
  first.n = 2 * model_.ffn;
  first.k = second.n = model_.hidden;
  second.k = model_.ffn;
  for (ProductGroup& product : work_.products) product.rows.reserve(sz(model_.experts));
  work_.both = both_.as<void>();
  work_.inner = inner_.as<void>();
  reserve_tables(wish_.graph ? 1 : 0);
  products_.prepare();
  trial_ = std::make_unique<ProductTrial>(model_, dtype_, at_);
}

void Experts::reserve_tables(int layers) {
  const std::size_t bytes = (1 + sz(layers)) * aligned(table_bytes());
  host_table_ = pinned_memory(bytes, at_);
  table_ = device_memory(bytes, at_);
  use_table(0);
}

void Experts::use_table(std::size_t table) {
  table_at_ = table;
  const std::size_t most = sz(model_.experts);
  void** const host = host_pointers();
  void** const copied = reinterpret_cast<void**>(table_.as<char>() + table_offset());
  pair_at_ = reinterpret_cast<std::int32_t*>(host + kPointerArrays * most);
  row_at_ = pair_at_ + ranks_ + 1;
  slot_at_ = row_at_ + ranks_ + 1;
  sizes_ = slot_at_ + most + 1;
  for (std::size_t i = 0; i < work_.products.size(); ++i) {
    ProductGroup& product = work_.products[i];
    const std::size_t arrays = 3 * i * most;
    product.a = copied + arrays;
    product.b = copied + arrays + most;
    product.c = copied + arrays + 2 * most;
    product.host = host + arrays;
    product.host_stride = most;
    product.sizes = on_device(sizes_ + kProductSizes * i * most);
  }
}

void** Experts::host_pointers() const {
  return reinterpret_cast<void**>(host_table_.as<char>() + table_offset());
}

std::size_t Experts::table_offset() const {
  return table_at_ * aligned(table_bytes());
}

void Experts::begin_tables() {
  recording_ = true;
  use_table(0);
}

void Experts::send_tables(cudaStream_t stream) {
  recording_ = false;
  check(cudaMemcpyAsync(table_.as<void>(), host_table_.as<void>(), host_table_.bytes(),
                        cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync", at_);
  use_table(0);
}

void* Experts::at_row(const Buffer& scratch, std::size_t row, int width) const {
  return scratch.as<char>() + row * sz(width) * element_;
}

/// Of a number in host_table_.
const std::int32_t* Experts::on_device(const std::int32_t* host) const {
  return reinterpret_cast<const std::int32_t*>(
      table_.as<char>() + (reinterpret_cast<const char*>(host) - host_table_.as<char>()));
}

/// The tables that kernels and libraries read in device memory, in one copy: the starts of sources
/// and slots, and the matrices of all slots with pairs.
void Experts::fill_table(cudaStream_t stream, const ExpertArgs& args) {
  if (recording_) use_table(table_at_ + 1);
  running_sums(args.rows_from, row_at_);
  running_sums(args.pairs_from, pair_at_);
  running_sums(args.pairs_to, slot_at_);
  const std::size_t most = sz(model_.experts);
  void** const pointers = host_pointers();
  for (auto& product : work_.products) product.rows.clear();
  work_.pairs = sz(slot_at_[args.pairs_to.size()]);
  for (std::size_t slot = 0; slot < args.slots.size(); ++slot) {
    const std::int32_t count = args.pairs_to[slot];
    if (count == 0) continue;
    const std::size_t group = work_.products[0].rows.size(), first = sz(slot_at_[slot]);
    char* const weights = args.slots[slot]->as<char>();
    void* const matrices[kPointerArrays] = {at_row(gathered_, first, model_.hidden),
                                            weights,
                                            at_row(both_, first, 2 * model_.ffn),
                                            at_row(inner_, first, model_.ffn),
                                            weights + layout_.down,
                                            at_row(outputs_, first, model_.hidden)};
    for (std::size_t i = 0; i < kPointerArrays; ++i) pointers[i * most + group] = matrices[i];
    for (std::size_t i = 0; i < work_.products.size(); ++i) {
      ProductGroup& product = work_.products[i];
      product.rows.push_back(count);
      const std::int32_t sizes[kProductSizes] = {product.n, count, product.k};
      std::ranges::copy(sizes, sizes_ + kProductSizes * (i * most + group));
    }
  }
  if (recording_) return;
  check(cudaMemcpyAsync(table_.as<char>() + table_offset(), pointers, table_bytes(),
                        cudaMemcpyHostToDevice, stream),
        "cudaMemcpyAsync", at_);
}

void Experts::run(cudaStream_t stream, const ExpertArgs& args, Stamp stamp) {
  fill_table(stream, args);
  const int pairs = pair_at_[args.pairs_from.size()], rows = row_at_[args.rows_from.size()];
  Sorting sorting{};
  sorting.pairs = pairs;
  sorting.ranks = static_cast<int>(args.rows_from.size());
  sorting.slots = static_cast<int>(args.slots.size());
  sorting.pair = args.pairs->as<Pair>();
  sorting.pair_at = on_device(pair_at_);
  sorting.row_at = on_device(row_at_);
  sorting.slot_at = on_device(slot_at_);
  sorting.sorted_row = sorted_row_.as<std::int32_t>();
  sorting.position = position_.as<std::int32_t>();
  sorting.first_pair = first_pair_.as<std::int32_t>();
  sorting.slot_tokens = args.slot_tokens->as<std::int32_t>();
  sorting.chunk_pairs = chunk_pairs_.as<std::int32_t>();
  sorting.stamp = stamp;
  check(sort_pairs(stream, sorting), "sort_pairs", at_);
  if (pairs == 0) return;
  check(copy_rows(stream, sz(model_.hidden) * element_, sz(pairs),
                  sorting.slot_at + args.slots.size(), sorting.sorted_row, args.rows->as<void>(),
                  gathered_.as<void>()),
        "copy_rows", at_);
  products_.run(choice_.way(pairs), stream, work_);
  const Weighing weighing{rows,
                          pairs,
                          model_.hidden,
                          sorting.pair,
                          sorting.position,
                          sorting.first_pair,
                          outputs_.as<void>(),
                          args.results->as<void>()};
  check(weigh_rows(stream, dtype_, weighing), "weigh_rows", at_);
}

void Experts::feed_forward(cudaStream_t stream, const Buffer& weights, const void* rows, int count,
                           void* out, bool add) {
  gemm_.run(stream, {count, 2 * model_.ffn, model_.hidden, rows, weights.as<void>(),
                     both_.as<void>(), dtype_, dtype_, false});
  check(swiglu(stream, dtype_, sz(count), model_.ffn, both_.as<void>(), inner_.as<void>()),
        "swiglu", at_);
  gemm_.run(stream, {count, model_.hidden, model_.ffn, inner_.as<void>(),
                     weights.as<char>() + layout_.down, out, dtype_, DType::f32, add});
}

void Experts::run_shared(cudaStream_t stream, const SharedArgs& args) {
  bool add = false;
  for (const Buffer* expert : args.experts) {
    feed_forward(stream, *expert, args.payload->as<void>(), args.tokens, args.sums->as<void>(),
                 std::exchange(add, true));
  }
}

}  // namespace gembench::inline cuda
