// Blocks of a launch on several threads of the host, watched by ThreadSanitizer: nothing orders
// blocks, so what two of them touch and one writes is a race. Only kernels are compiled here.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <numeric>

#include "moe_layer/cuda/block.hpp"
#include "moe_layer/cuda/forwarding_kernels.hpp"
#include "moe_layer/cuda/kernels.hpp"
#include "tests/cuda_simulation/environment.hpp"

namespace {

std::atomic<int> reports{0};

}  // namespace

// Called by ThreadSanitizer: for every report, and for its options. Reports are counted by the
// tests below, which fail for those that are not expected; a second one of an address is one too.
extern "C" void __tsan_on_report(void* /*report*/) {
  ++reports;
}
extern "C" const char* __tsan_default_options() {
  return "exitcode=0:suppress_equal_addresses=0";
}

namespace gembench::inline cuda {
namespace {

constexpr int kHosts = 4;

void use_threads(int hosts) {
  const std::string value = hosts > 0 ? "threads:" + std::to_string(hosts) : "forward";
  setenv("GEMBENCH_SIMULATED_BLOCKS", value.c_str(), 1);
  gembench_simulation_reload();
}

class Races : public testing::Test {
 protected:
  void SetUp() override {
    reports = 0;
    use_threads(kHosts);
  }
  void TearDown() override {
    if (planted_) {
      EXPECT_GT(reports, 0) << "ThreadSanitizer did not see the race";
    } else {
      EXPECT_EQ(reports, 0);
    }
  }
  void plant() {
    planted_ = true;
    std::fprintf(stderr, "The warning that follows is expected: a race that is planted.\n");
  }

 private:
  bool planted_ = false;
};

__global__ void same_word_kernel(int* word) {
  if (threadIdx.x == 0) *word = static_cast<int>(blockIdx.x);
}
__global__ void neighbour_kernel(int* words, int* sums) {
  words[blockIdx.x] = 1;
  __syncthreads();  // of this block only
  if (threadIdx.x == 0) sums[blockIdx.x] = words[(blockIdx.x + 1) % gridDim.x];
}
__global__ void count_all_kernel(int* count, bool atomically) {
  if (atomically) {
    atomicAdd(count, 1);
  } else {
    ++*count;
  }
}
__global__ void sum_kernel(const int* values, int* sums) {
  int all = 0;
  const int before = sum_before(values[threadIdx.x], all);
  sums[blockIdx.x * blockDim.x + threadIdx.x] = before + all;
}

TEST_F(Races, blocks_that_write_one_word_are_found) {
  plant();
  int word = 0;
  launch(nullptr, 4, 32, same_word_kernel, &word);
}
TEST_F(Races, a_block_that_reads_what_another_one_writes_is_found) {
  plant();
  std::vector<int> words(4), sums(4);
  launch(nullptr, 4, 1, neighbour_kernel, words.data(), sums.data());
}
TEST_F(Races, a_count_that_is_not_atomic_is_found) {
  plant();
  int count = 0;
  launch(nullptr, 4, 32, count_all_kernel, &count, false);
}
TEST_F(Races, atomic_counts_are_none) {
  int count = 0;
  launch(nullptr, 20, 64, count_all_kernel, &count, true);
  EXPECT_EQ(count, 20 * 64);
}
TEST_F(Races, launches_are_ordered) {
  int word = 0;
  for (int i = 0; i < 3; ++i) launch(nullptr, 1, 1, same_word_kernel, &word);
}
TEST_F(Races, every_block_has_shared_memory_of_its_own) {
  constexpr std::size_t kBlocks = 20, kThreads = 64;
  std::vector<int> values(kThreads), sums(kBlocks * kThreads);
  std::iota(values.begin(), values.end(), 0);
  launch(nullptr, kBlocks, kThreads, sum_kernel, values.data(), sums.data());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const int t = static_cast<int>(i % kThreads);
    EXPECT_EQ(sums[i], t * (t - 1) / 2 + 63 * 64 / 2);
  }
}

using Halves = std::vector<std::uint16_t>;  // bf16 values, or two of them an f32

/// What the kernels leave.
struct Outputs {
  std::vector<float> normed, weights, x;
  Halves payload, gate_ids, ids, sent, inner, product, sums;
  std::vector<std::int32_t> counts, chunk_counts, row_token, token_row, rows, sorted_row, position,
      first_pair, slot_tokens, chunk_pairs;
  std::vector<int> pairs;
  bool operator==(const Outputs&) const = default;
};

struct Shape {
  int tokens, hidden, experts, topk, ranks, spread;  // tokens go to the first `spread` experts
};

std::size_t z(int a, int b = 1) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(b);
}

std::vector<float> numbers(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(i * 2654435761U % 1000) / 500 - 1;
  }
  return values;
}

std::size_t halves_of(DType dtype) {
  return dtype == DType::f32 ? 2 : 1;
}
Halves room(DType dtype, std::size_t count) {
  return Halves(count * halves_of(dtype));
}
/// Values between 1 and 2.
Halves payload(DType dtype, std::size_t count) {
  Halves values = room(dtype, count);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<std::uint16_t>(0x3f80 + i % 128);
  }
  return values;
}

void append(std::vector<int>& to, const std::vector<Pair>& pairs) {
  for (const Pair& p : pairs) to.insert(to.end(), {p.row, p.slot});
}

/// Every kernel of a layer once: what is packed comes back as received from this rank alone.
Outputs layer(const Shape& s, DType dtype) {
  Outputs out;
  std::vector<float> x(z(s.tokens, s.hidden));
  Filling filling{};
  filling.tokens = s.tokens, filling.hidden = s.hidden, filling.step = 0x1p-23F;
  filling.x = x.data();
  fill_inputs(nullptr, filling);
  out.normed.resize(x.size());
  out.payload = room(dtype, x.size());
  norm_rows(nullptr, dtype, s.tokens, s.hidden, x.data(), out.normed.data(), out.payload.data());

  std::vector<float> logits = numbers(z(s.tokens, s.experts));
  for (int t = 0; t < s.tokens; ++t) {
    for (int e = 0; e < s.spread; ++e) logits[z(t, s.experts) + z(e)] += 9;
  }
  const std::size_t pairs = z(s.tokens, s.topk);
  out.gate_ids.resize(pairs);
  out.ids.resize(pairs);
  out.weights.resize(pairs);
  Choice choice{};
  choice.tokens = s.tokens, choice.experts = s.experts, choice.topk = s.topk;
  choice.logits = logits.data();
  choice.gate_ids = out.gate_ids.data(), choice.ids = out.ids.data();
  choice.weights = out.weights.data();
  choose_experts(nullptr, choice);

  const int slots = s.experts / s.ranks;
  std::vector<Location> locations;
  for (int e = 0; e < s.experts; ++e) locations.push_back({e % s.ranks, e / s.ranks});
  std::vector<Pair> pair(pairs);
  out.counts.resize(z(s.ranks, 2 + slots));
  out.chunk_counts.resize(2 * z(s.ranks, chunks_of(s.tokens)));
  out.row_token.resize(z(s.tokens, s.ranks));
  out.token_row.resize(z(s.tokens, s.ranks));
  out.rows.resize(1);
  Packing packing{};
  packing.tokens = s.tokens, packing.topk = s.topk, packing.ranks = s.ranks, packing.slots = slots;
  packing.ids = out.ids.data(), packing.weights = out.weights.data();
  packing.locations = locations.data();
  packing.counts = out.counts.data(), packing.chunk_counts = out.chunk_counts.data();
  packing.pairs = pair.data(), packing.rows = out.rows.data();
  packing.row_token = out.row_token.data(), packing.token_row = out.token_row.data();
  count_pairs(nullptr, packing);
  place_pairs(nullptr, packing);
  append(out.pairs, pair);

  const int rows = out.rows[0];
  out.sent = room(dtype, z(rows, s.hidden));
  copy_rows(nullptr, z(s.hidden) * halves_of(dtype) * sizeof(std::uint16_t), z(rows),
            out.rows.data(), out.row_token.data(), out.payload.data(), out.sent.data());

  std::vector<std::int32_t> pair_at{0}, row_at{0}, slot_at(z(slots) + 1);
  for (int r = 0; r < s.ranks; ++r) {
    const std::int32_t* counts = out.counts.data() + r * (2 + slots);
    row_at.push_back(row_at.back() + counts[0]);
    pair_at.push_back(pair_at.back() + counts[1]);
    for (int slot = 0; slot < slots; ++slot) slot_at[z(slot) + 1] += counts[2 + slot];
  }
  std::partial_sum(slot_at.begin(), slot_at.end(), slot_at.begin());
  out.sorted_row.resize(pairs);
  out.position.resize(pairs);
  out.first_pair.resize(z(rows));
  out.slot_tokens.resize(z(slots));
  out.chunk_pairs.resize(z(slots, chunks_of(static_cast<int>(pairs))));
  Sorting sorting{};
  sorting.pairs = static_cast<int>(pairs), sorting.ranks = s.ranks, sorting.slots = slots;
  sorting.pair = pair.data(), sorting.pair_at = pair_at.data(), sorting.row_at = row_at.data();
  sorting.slot_at = slot_at.data(), sorting.sorted_row = out.sorted_row.data();
  sorting.position = out.position.data(), sorting.first_pair = out.first_pair.data();
  sorting.slot_tokens = out.slot_tokens.data(), sorting.chunk_pairs = out.chunk_pairs.data();
  sort_pairs(nullptr, sorting);

  const Halves both = payload(dtype, 2 * pairs * z(s.hidden));
  out.inner = room(dtype, pairs * z(s.hidden));
  swiglu(nullptr, dtype, pairs, s.hidden, both.data(), out.inner.data());
  const void* const matrices[] = {both.data()};
  const std::vector<std::int32_t> matrix(z(s.tokens), 0);
  PlainProduct product{};
  product.rows = s.tokens, product.n = s.hidden, product.k = 1;
  product.a = out.payload.data(), product.b = matrices, product.matrix = matrix.data();
  out.product = room(dtype, x.size());
  product.c = out.product.data();
  plain_product(nullptr, dtype, product);

  out.sums = room(dtype, z(rows, s.hidden));
  Weighing weighing{};
  weighing.rows = rows, weighing.pairs = sorting.pairs, weighing.hidden = s.hidden;
  weighing.pair = pair.data(), weighing.position = out.position.data();
  weighing.first_pair = out.first_pair.data();
  weighing.outputs = out.inner.data(), weighing.sums = out.sums.data();
  weigh_rows(nullptr, dtype, weighing);
  Adding adding{};
  adding.tokens = s.tokens, adding.ranks = s.ranks, adding.hidden = s.hidden;
  adding.token_row = out.token_row.data(), adding.returned = out.sums.data();
  out.x = x;
  adding.shared = x.data(), adding.x = out.x.data();
  add_rows(nullptr, dtype, adding);
  return out;
}

/// What forwarding leaves.
struct Forwarded {
  std::vector<std::int32_t> counts, chunk_counts, row_source, sent_row, rows;
  std::vector<int> pairs;
  Halves results;
  bool operator==(const Forwarded&) const = default;
};

struct NodeShape {
  int sources, rows, each, node_ranks, slots, hidden;  // `each` pairs of every source's every row
};

/// Every kernel of forwarding once, on the last ranks of twice as many.
Forwarded forward(const NodeShape& s, DType dtype) {
  Forwarded out;
  const int ranks = 2 * s.node_ranks, rows = s.sources * s.rows;
  std::vector<Pair> pair;
  std::vector<std::int32_t> pair_at{0}, row_at{0}, rank_of;
  for (int source = 0; source < s.sources; ++source) {
    for (int i = 0; i < s.rows * s.each; ++i) {
      const int row = i / s.each, slot = (row + i % s.each) % (s.node_ranks * s.slots);
      pair.push_back({row, slot, 1});
    }
    pair_at.push_back(static_cast<std::int32_t>(pair.size()));
    row_at.push_back((source + 1) * s.rows);
  }
  for (int local = 0; local < s.node_ranks; ++local) rank_of.push_back(s.node_ranks + local);
  const int pairs = pair_at.back();
  std::vector<Pair> sent(pair.size());
  out.counts.resize(z(ranks, 2 + s.slots));
  out.chunk_counts.resize(2 * z(s.node_ranks, chunks_of(pairs)));
  out.row_source.resize(pair.size());
  out.sent_row.resize(z(rows, s.node_ranks));
  out.rows.resize(1);
  NodePacking packing{};
  packing.pairs = pairs, packing.sources = s.sources;
  packing.node_ranks = s.node_ranks, packing.slots = s.slots;
  packing.pair = pair.data(), packing.pair_at = pair_at.data(), packing.row_at = row_at.data();
  packing.rank_of = rank_of.data(), packing.counts = out.counts.data();
  packing.chunk_counts = out.chunk_counts.data(), packing.sent_pairs = sent.data();
  packing.row_source = out.row_source.data(), packing.sent_row = out.sent_row.data();
  packing.rows = out.rows.data();
  count_node_pairs(nullptr, packing, ranks);
  place_node_pairs(nullptr, packing);
  append(out.pairs, sent);

  const Halves returned = payload(dtype, z(out.rows[0], s.hidden));
  out.results = room(dtype, z(rows, s.hidden));
  Merging merging{};
  merging.rows = rows, merging.node_ranks = s.node_ranks, merging.hidden = s.hidden;
  merging.sent_row = out.sent_row.data(), merging.returned = returned.data();
  merging.results = out.results.data();
  merge_rows(nullptr, dtype, merging);
  return out;
}

/// Blocks of one thread are not compared: with both numbers of threads, those are only every 12th.
template <class Shape, class Run>
void expect_no_races(const std::vector<Shape>& shapes, Run run) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      use_threads(0);
      const auto expected = run(shapes[i], dtype);
      for (const int threads : {3, 4}) {
        use_threads(threads);
        EXPECT_EQ(run(shapes[i], dtype) == expected, true)
            << "shape " << i << ", type " << static_cast<int>(dtype) << ", " << threads
            << " threads";
      }
    }
  }
}

TEST_F(Races, the_kernels_of_a_layer_have_none) {
  // tokens, hidden, experts, top-k, ranks, spread: two and three chunks, one token, all to one rank
  expect_no_races(std::vector<Shape>{{300, 8, 12, 2, 3, 12},
                                     {1, 7, 8, 8, 8, 8},
                                     {513, 5, 4, 1, 2, 1},
                                     {40, 34, 64, 6, 8, 64},
                                     {5, 515, 4, 2, 2, 4}},
                  layer);
}

TEST_F(Races, the_kernels_of_forwarding_have_none) {
  // sources, rows, pairs a row, ranks of the node, slots, hidden
  expect_no_races(
      std::vector<NodeShape>{{3, 70, 3, 3, 4, 8}, {2, 9, 1, 8, 1, 7}, {1, 1, 4, 2, 2, 2056}},
      forward);
}

}  // namespace
}  // namespace gembench::inline cuda
