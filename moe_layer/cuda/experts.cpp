#include "moe_layer/cuda/experts.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "moe_layer/cuda/memory.hpp"
#include "moe_layer/cuda/row_parts.hpp"
#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kPointerArrays = 6;  // a, b, c of both products
constexpr std::size_t kMadeRows = 256;     // on the host, for compare(); then they repeat
constexpr std::size_t kCompared = std::size_t{1} << 20;  // values of outputs at either end
constexpr int kGroupedUnit = 8;  // values: cuBLAS 13.1 groups bf16 by an align8 kernel

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

ExpertLayout expert_layout(const ModelShape& model, DType dtype) {
  const std::size_t matrix = sz(model.hidden) * sz(model.ffn) * size_of(dtype);
  return {aligned(2 * matrix), aligned(2 * matrix) + matrix};
}

Experts::Experts(const ModelShape& model, DType dtype, int ranks, Whereabouts& at)
    : model_(model),
      dtype_(dtype),
      ranks_(sz(ranks)),
      element_(size_of(dtype)),
      layout_(expert_layout(model, dtype)),
      at_(at),
      gemm_(at) {
  check(cudaEventCreateWithFlags(&begun_, cudaEventDisableTiming), "cudaEventCreateWithFlags", at_);
  if (dtype == DType::bf16 && (model.hidden | model.ffn) % kGroupedUnit == 0) {
    Buffer scratch = device_memory(kAlignment * kAlignment, at_);
    grouped_ = gemm_.has_groups(nullptr, scratch);
  }
  for (int i = 0; i < kStreams; ++i) {
    Branch& branch = branches_.emplace_back();
    check(cudaStreamCreateWithFlags(&branch.stream, cudaStreamNonBlocking),
          "cudaStreamCreateWithFlags", at_);
    check(cudaEventCreateWithFlags(&branch.done, cudaEventDisableTiming),
          "cudaEventCreateWithFlags", at_);
    branch.gemm = std::make_unique<Gemm>(at_);
  }
}

Experts::~Experts() {
  for (const Branch& branch : branches_) {
    static_cast<void>(cudaEventDestroy(branch.done));
    static_cast<void>(cudaStreamDestroy(branch.stream));
  }
  static_cast<void>(cudaEventDestroy(begun_));
}

std::size_t Experts::rows_of(const LayerLimits& limits) {
  return std::max(limits.pairs, limits.tokens);
}

std::size_t Experts::table_bytes() const {
  return kPointerArrays * sz(model_.experts) * sizeof(void*) +
         (2 * (ranks_ + 1) + sz(model_.experts) + 1) * sizeof(std::int32_t);
}

std::size_t Experts::scratch_bytes(const LayerLimits& limits) const {
  return rows_of(limits) * sz(3 * model_.ffn) * element_ +
         limits.pairs * sz(2 * model_.hidden) * element_ +
         (2 * limits.pairs + limits.rows) * sizeof(std::int32_t) + table_bytes() +
         chunk_bytes(limits);
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
  reserve_tables(0);
  products_[0].n = 2 * model_.ffn;
  products_[0].k = model_.hidden;
  products_[1].n = model_.hidden;
  products_[1].k = model_.ffn;
  for (auto& product : products_) product.rows.reserve(sz(model_.experts));
}

void Experts::reserve_tables(int layers) {
  const std::size_t bytes = (1 + sz(layers)) * aligned(table_bytes());
  host_table_ = pinned_memory(bytes, at_);
  table_ = device_memory(bytes, at_);
  use_table(0);
}

void Experts::use_table(std::size_t table) {
  table_at_ = table;
  pair_at_ = reinterpret_cast<std::int32_t*>(host_table_.as<char>() + table_offset() +
                                             kPointerArrays * sz(model_.experts) * sizeof(void*));
  row_at_ = pair_at_ + ranks_ + 1;
  slot_at_ = row_at_ + ranks_ + 1;
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

/// The tables that kernels and cuBLAS read in device memory, in one copy: the starts of sources and
/// slots, and the matrices of all slots with pairs.
void Experts::fill_table(cudaStream_t stream, const ExpertArgs& args) {
  if (recording_) use_table(table_at_ + 1);
  running_sums(args.rows_from, row_at_);
  running_sums(args.pairs_from, pair_at_);
  running_sums(args.pairs_to, slot_at_);
  const std::size_t most = sz(model_.experts);
  void** const pointers = reinterpret_cast<void**>(host_table_.as<char>() + table_offset());
  for (auto& product : products_) product.rows.clear();
  for (std::size_t slot = 0; slot < args.slots.size(); ++slot) {
    const std::int32_t count = args.pairs_to[slot];
    if (count == 0) continue;
    const std::size_t group = products_[0].rows.size(), first = sz(slot_at_[slot]);
    char* const weights = args.slots[slot]->as<char>();
    void* const matrices[kPointerArrays] = {at_row(gathered_, first, model_.hidden),
                                            weights,
                                            at_row(both_, first, 2 * model_.ffn),
                                            at_row(inner_, first, model_.ffn),
                                            weights + layout_.down,
                                            at_row(outputs_, first, model_.hidden)};
    for (std::size_t i = 0; i < kPointerArrays; ++i) pointers[i * most + group] = matrices[i];
    for (auto& product : products_) product.rows.push_back(count);
  }
  void** const copied = reinterpret_cast<void**>(table_.as<char>() + table_offset());
  if (!recording_) {
    check(cudaMemcpyAsync(copied, pointers, table_bytes(), cudaMemcpyHostToDevice, stream),
          "cudaMemcpyAsync", at_);
  }
  for (std::size_t i = 0; i < products_.size(); ++i) {
    products_[i].a = copied + 3 * i * most;
    products_[i].b = copied + (3 * i + 1) * most;
    products_[i].c = copied + (3 * i + 2) * most;
  }
}

void Experts::run(cudaStream_t stream, const ExpertArgs& args, Stamp stamp) {
  fill_table(stream, args);
  const int pairs = pair_at_[args.pairs_from.size()], rows = row_at_[args.rows_from.size()];
  const auto on_device = [&](const std::int32_t* host) {
    return reinterpret_cast<const std::int32_t*>(
        table_.as<char>() + (reinterpret_cast<const char*>(host) - host_table_.as<char>()));
  };
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
  run_products(stream, args, grouped_ && choice_.groups(pairs));
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

void Experts::run_products(cudaStream_t stream, const ExpertArgs& args, bool grouped) {
  grouped ? run_grouped(stream) : run_each(stream, args);
}

void Experts::run_grouped(cudaStream_t stream) {
  gemm_.run(stream, products_[0]);
  const auto& rows = products_[0].rows;
  std::size_t all = 0;
  for (const int count : rows) all += sz(count);
  check(swiglu(stream, dtype_, all, model_.ffn, both_.as<void>(), inner_.as<void>()), "swiglu",
        at_);
  gemm_.run(stream, products_[1]);
}

void Experts::run_each(cudaStream_t stream, const ExpertArgs& args) {
  check(cudaEventRecord(begun_, stream), "cudaEventRecord", at_);
  for (const Branch& branch : branches_) {
    check(cudaStreamWaitEvent(branch.stream, begun_, 0), "cudaStreamWaitEvent", at_);
  }
  std::size_t turn = 0;
  for (std::size_t slot = 0; slot < args.slots.size(); ++slot) {
    const std::int32_t count = args.pairs_to[slot];
    if (count == 0) continue;
    const std::size_t first = sz(slot_at_[slot]);
    Branch& branch = branches_[turn++ % branches_.size()];
    feed_forward(branch.stream, *branch.gemm, *args.slots[slot],
                 at_row(gathered_, first, model_.hidden), first, count,
                 at_row(outputs_, first, model_.hidden), dtype_, false);
  }
  for (const Branch& branch : branches_) {
    check(cudaEventRecord(branch.done, branch.stream), "cudaEventRecord", at_);
    check(cudaStreamWaitEvent(stream, branch.done, 0), "cudaStreamWaitEvent", at_);
  }
}

void Experts::feed_forward(cudaStream_t stream, Gemm& gemm, const Buffer& weights, const void* rows,
                           std::size_t first, int count, void* out, DType out_type, bool add) {
  void* const both = at_row(both_, first, 2 * model_.ffn);
  void* const inner = at_row(inner_, first, model_.ffn);
  gemm.run(stream, {count, 2 * model_.ffn, model_.hidden, rows, weights.as<void>(), both, dtype_,
                    dtype_, false});
  check(swiglu(stream, dtype_, sz(count), model_.ffn, both, inner), "swiglu", at_);
  gemm.run(stream, {count, model_.hidden, model_.ffn, inner, weights.as<char>() + layout_.down, out,
                    dtype_, out_type, add});
}

void Experts::run_shared(cudaStream_t stream, const SharedArgs& args) {
  bool add = false;
  for (const Buffer* expert : args.experts) {
    feed_forward(stream, gemm_, *expert, args.payload->as<void>(), 0, args.tokens,
                 args.sums->as<void>(), DType::f32, std::exchange(add, true));
  }
}

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

double Experts::time_way(cudaStream_t stream, const ExpertArgs& args, bool grouped) {
  const double begin = wall_seconds();
  run_products(stream, args, grouped);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  return wall_seconds() - begin;
}

void Experts::forget_products(cudaStream_t stream) {
  constexpr int kNotANumber = 0xff;  // each byte of a bf16
  for (const Buffer* made : {&both_, &inner_, &outputs_}) {
    check(cudaMemsetAsync(made->as<void>(), kNotANumber, made->bytes(), stream), "cudaMemsetAsync",
          at_);
  }
}

std::vector<std::uint16_t> Experts::some_outputs(cudaStream_t stream, std::size_t pairs) {
  const std::size_t all = pairs * sz(model_.hidden), count = std::min(all, kCompared);
  std::vector<std::uint16_t> values(2 * count);
  const auto copy = [&](std::size_t to, std::size_t from) {
    check(cudaMemcpyAsync(&values[to], outputs_.as<std::uint16_t>() + from,
                          count * sizeof(std::uint16_t), cudaMemcpyDeviceToHost, stream),
          "cudaMemcpyAsync", at_);
  };
  copy(0, 0);
  copy(count, all - count);
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  return values;
}

void Experts::compare(cudaStream_t stream, std::span<const Buffer* const> slots, const Comm& comm) {
  constexpr int kRounds = 5;
  grouped_ = comm.min(grouped_ ? 1 : 0) != 0;  // cuBLAS may differ between nodes
  const auto sizes = ProductChoice::sizes_up_to(comm.min(static_cast<std::int64_t>(most_pairs_)));
  std::vector<std::size_t> filled;
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    if (slots[slot] != nullptr) filled.push_back(slot);
  }
  std::vector<std::int32_t> counts(slots.size());
  ExpertArgs args;
  args.slots = slots;
  args.pairs_to = counts;
  const auto spread = [&](std::int64_t pairs, std::size_t experts) {
    const auto upto = [&](std::size_t i) {
      return static_cast<std::int64_t>(i) * pairs / static_cast<std::int64_t>(experts);
    };
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t i = 0; i < experts; ++i) {
      counts[filled[i]] = static_cast<std::int32_t>(upto(i + 1) - upto(i));
    }
    fill_table(stream, args);
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize", at_);
  };
  if (!filled.empty() && !sizes.empty()) fill_rows(stream, sz(sizes.back()));
  std::vector<ProductChoice::Timed> timed;
  bool wrong = false;
  for (const std::int64_t pairs : sizes) {
    ProductChoice::Timed& times = timed.emplace_back();
    times.pairs = pairs;
    if (filled.empty()) continue;
    // A single expert with everything: its size of product may be a kernel of its own.
    spread(pairs, 1);
    static_cast<void>(time_way(stream, args, false));
    if (grouped_) static_cast<void>(time_way(stream, args, true));
    spread(pairs, std::min(filled.size(), sz(pairs)));
    static_cast<void>(time_way(stream, args, false));
    if (!grouped_) continue;
    const auto single = some_outputs(stream, sz(pairs));
    forget_products(stream);
    static_cast<void>(time_way(stream, args, true));
    wrong = wrong || !ProductChoice::alike(single, some_outputs(stream, sz(pairs)));
    times.one_by_one = times.grouped = HUGE_VAL;
    for (int round = 0; round < kRounds; ++round) {  // in turns: clocks and heat change meanwhile
      times.one_by_one = std::min(times.one_by_one, time_way(stream, args, false));
      times.grouped = std::min(times.grouped, time_way(stream, args, true));
    }
  }
  if (grouped_) choice_.decide(comm, timed, wrong);
}

std::string Experts::way() const {
  return grouped_ ? choice_.words() : "one by one";
}

}  // namespace gembench::inline cuda
