// Every phase of the CUDA device compared with the CPU device's, from the same inputs.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "moe_layer/cpu/make_device.hpp"
#include "placement/base/index.hpp"
#include "tests/moe_layer/cuda/support.hpp"

namespace gembench {
namespace {

/// All buffers of one layer on a device.
struct Side {
  Side(const Comm& comm, std::unique_ptr<Device> the_device, const ModelShape& model, int tokens,
       int all_tokens, const Placement& placement)
      : device(std::move(the_device)),
        stream(device->make_stream()),
        row(sz(model.hidden) * size_of(device->dtype())) {
    const std::size_t n = sz(tokens), k = sz(model.topk), ranks = sz(comm.size());
    const std::size_t rows = sz(all_tokens), pairs = rows * k;
    const auto make = [&](std::size_t bytes) { return device->allocate(bytes); };
    x = make(n * sz(model.hidden) * 4);
    router = make(device->router_bytes());
    replay = make(n * k * 2);
    normed = make(n * sz(model.hidden) * 4);
    payload = make(n * row);
    logits = make(n * sz(model.experts) * 4);
    gate_ids = make(n * k * 2);
    ids = make(n * k * 2);
    weights = make(n * k * 4);
    locations = make(sz(model.experts) * sizeof(Location));
    send_rows = make(n * std::min(k, ranks) * row);
    send_pairs = make(n * k * sizeof(Pair));
    row_token = make(n * std::min(k, ranks) * 4);
    recv_rows = make(rows * row);
    recv_pairs = make(pairs * sizeof(Pair));
    sums = make(rows * sz(model.hidden) * 4);
    results = make(rows * row);
    slot_tokens = make(sz(model.experts) * 4);
    returned = make(n * std::min(k, ranks) * row);
    shared_sums = make(n * sz(model.hidden) * 4);
    const auto where = gembench::locations(placement);
    device->upload(locations, 0, where.data(), sz(model.experts) * sizeof(Location));
    counts.resize(ranks * (2 + sz(placement.slots)));
    device->prepare({n, rows, pairs});
    PlainExpert plain;
    for (const int expert : placement.on_rank(0, comm.rank())) {
      experts.push_back(expert < 0 ? Buffer() : make(device->expert_bytes()));
      slots.push_back(nullptr);
      if (expert < 0) continue;
      fill_expert(plain, 3, 0, expert, model, device->dtype());
      device->load_expert(experts.back(), plain);
    }
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
      if (experts[slot].bytes() > 0) slots[slot] = &experts[slot];
    }
    std::vector<float> gate(sz(model.hidden) * sz(model.experts));
    fill_gate(gate, 3, 0, model);
    device->load_router(router, gate);
  }
  /// The same bytes as the other side's.
  void copy(Buffer& to, Device& other, const Buffer& from) const {
    const auto bytes = content<char>(other, from, from.bytes());
    device->upload(to, 0, bytes.data(), bytes.size());
  }

  std::unique_ptr<Device> device;
  Stream stream;
  std::size_t row;
  Buffer x, router, replay, normed, payload, logits, gate_ids, ids, weights, locations;
  Buffer send_rows, send_pairs, row_token, recv_rows, recv_pairs, sums, results, slot_tokens;
  Buffer returned, shared_sums;
  std::vector<Buffer> experts;
  std::vector<const Buffer*> slots;
  std::vector<std::int32_t> counts;
};

class Phases : public testing::TestWithParam<std::tuple<ModelShape, int>> {
 protected:
  Phases() : model_(std::get<0>(GetParam())), all_tokens_(std::get<1>(GetParam())) {}

  void SetUp() override {
    model_.layers = 1;
    model_.experts *= comm_.size();
    placement_ = random_placement(model_, comm_.size(), 7);
    tokens_ = local_tokens(all_tokens_, comm_.rank(), comm_.size()).count;
    ranks_ = sz(comm_.size());
    cpu_ = std::make_unique<Side>(comm_, make_cpu_device(comm_, model_, DType::f32), model_,
                                  tokens_, all_tokens_, placement_);
    gpu_ = std::make_unique<Side>(comm_, make_simulated(comm_, model_, DType::f32), model_, tokens_,
                                  all_tokens_, placement_);
    input_.resize(sz(tokens_) * sz(model_.hidden));
    fill_input(input_, 3, 0, 1000 * comm_.rank(), model_.hidden);
    // A token of zeros has equal logits everywhere: ties go to the lower expert.
    std::fill_n(input_.begin(), tokens_ > 0 ? model_.hidden : 0, 0.0F);
    for (Side* side : {cpu_.get(), gpu_.get()}) {
      side->device->upload(side->x, 0, input_.data(), input_.size() * sizeof(float));
    }
  }

  void route(Side& side, bool replay) {
    RouteArgs args;
    args.tokens = tokens_;
    args.hidden_state = &side.x;
    args.router = &side.router;
    args.replay = replay ? &side.replay : nullptr;
    args.normed = &side.normed;
    args.payload = &side.payload;
    args.logits = &side.logits;
    args.gate_ids = &side.gate_ids;
    args.ids = &side.ids;
    args.weights = &side.weights;
    side.device->route(side.stream, args);
    side.device->synchronize(side.stream);
  }
  void pack(Side& side) {
    PackArgs args;
    args.tokens = tokens_;
    args.slots = placement_.slots;
    args.payload = &side.payload;
    args.ids = &side.ids;
    args.weights = &side.weights;
    args.locations = &side.locations;
    args.send_rows = &side.send_rows;
    args.send_pairs = &side.send_pairs;
    args.row_token = &side.row_token;
    args.counts = side.counts;
    side.device->pack(side.stream, args);
    side.device->synchronize(side.stream);
  }
  /// Counts of the CPU side, split as the exchanges take them.
  void agree_on_counts() {
    std::vector<std::int32_t> received(cpu_->counts.size());
    comm_.all_to_all(cpu_->counts, received);
    const std::size_t width = 2 + sz(placement_.slots);
    to_slots_.assign(sz(placement_.slots), 0);
    for (std::size_t r = 0; r < ranks_; ++r) {
      rows_out_.push_back(cpu_->counts[r * width]);
      pairs_out_.push_back(cpu_->counts[r * width + 1]);
      rows_in_.push_back(received[r * width]);
      pairs_in_.push_back(received[r * width + 1]);
      for (std::size_t s = 0; s < to_slots_.size(); ++s) {
        to_slots_[s] += received[r * width + 2 + s];
      }
    }
  }
  void exchange(Side& side) {
    const RowExchange parts[] = {
        {&side.send_pairs, pairs_out_, &side.recv_pairs, pairs_in_, sizeof(Pair)},
        {&side.send_rows, rows_out_, &side.recv_rows, rows_in_, side.row}};
    side.device->exchange(side.stream, parts);
    side.device->synchronize(side.stream);
  }
  void experts(Side& side) {
    ExpertArgs args;
    args.slots = side.slots;
    args.rows_from = rows_in_;
    args.pairs_from = pairs_in_;
    args.pairs_to = to_slots_;
    args.rows = &side.recv_rows;
    args.pairs = &side.recv_pairs;
    args.sums = &side.sums;
    args.results = &side.results;
    args.slot_tokens = &side.slot_tokens;
    side.device->experts(side.stream, args);
    side.device->synchronize(side.stream);
  }
  void combine(Side& side) {
    const RowExchange back{&side.results, rows_in_, &side.returned, rows_out_, side.row};
    side.device->exchange(side.stream, {&back, 1});
    CombineArgs args;
    args.tokens = tokens_;
    args.rows = sum(rows_out_);
    args.returned = &side.returned;
    args.row_token = &side.row_token;
    args.shared = &side.shared_sums;
    args.hidden_state = &side.x;
    side.device->combine(side.stream, args);
    side.device->synchronize(side.stream);
  }
  static std::int32_t sum(const std::vector<std::int32_t>& values) {
    return std::accumulate(values.begin(), values.end(), 0);
  }
  template <class T>
  void expect_same(const Buffer& cpu, const Buffer& gpu, std::size_t count, const char* what) {
    EXPECT_EQ(content<T>(*cpu_->device, cpu, count), content<T>(*gpu_->device, gpu, count)) << what;
  }
  void expect_near(const Buffer& cpu, const Buffer& gpu, std::size_t count, float tolerance,
                   const char* what) {
    const auto a = content<float>(*cpu_->device, cpu, count);
    const auto b = content<float>(*gpu_->device, gpu, count);
    for (std::size_t i = 0; i < count; ++i) ASSERT_NEAR(a[i], b[i], tolerance) << what << " " << i;
  }

  Comm comm_ = Comm::world();
  ModelShape model_;
  int all_tokens_, tokens_ = 0;
  std::size_t ranks_ = 1;
  Placement placement_;
  std::unique_ptr<Side> cpu_, gpu_;
  std::vector<float> input_;
  std::vector<std::int32_t> rows_out_, rows_in_, pairs_out_, pairs_in_, to_slots_;
};

TEST_P(Phases, routing_chooses_the_same_experts) {
  const std::size_t hidden = sz(tokens_) * sz(model_.hidden),
                    chosen = sz(tokens_) * sz(model_.topk);
  for (const bool replay : {false, true}) {
    const auto replayed = of_rank(random_ids(model_, all_tokens_, 9), model_, all_tokens_,
                                  local_tokens(all_tokens_, comm_.rank(), comm_.size()));
    for (Side* side : {cpu_.get(), gpu_.get()}) {
      side->device->upload(side->replay, 0, replayed.data(), chosen * 2);
      route(*side, replay);
    }
    expect_near(cpu_->normed, gpu_->normed, hidden, 1e-5F, "normed");
    expect_near(cpu_->payload, gpu_->payload, hidden, 1e-5F, "payload");
    expect_near(cpu_->logits, gpu_->logits, sz(tokens_) * sz(model_.experts), 1e-5F, "logits");
    expect_same<std::uint16_t>(cpu_->gate_ids, gpu_->gate_ids, chosen, "the gate's choice");
    expect_same<std::uint16_t>(cpu_->ids, gpu_->ids, chosen, "experts used");
    expect_near(cpu_->weights, gpu_->weights, chosen, 1e-5F, "weights");
  }
}

TEST_P(Phases, packing_exchanging_and_combining_are_the_same_to_the_bit) {
  route(*cpu_, false);
  for (const auto& [to, from] :
       {std::pair{&gpu_->payload, &cpu_->payload}, std::pair{&gpu_->ids, &cpu_->ids},
        std::pair{&gpu_->weights, &cpu_->weights}}) {
    gpu_->copy(*to, *cpu_->device, *from);
  }
  pack(*cpu_);
  pack(*gpu_);
  ASSERT_EQ(cpu_->counts, gpu_->counts);
  agree_on_counts();
  const std::size_t sent = sz(sum(rows_out_)), width = sz(model_.hidden);
  expect_same<std::int32_t>(cpu_->row_token, gpu_->row_token, sent, "tokens of rows");
  expect_same<char>(cpu_->send_pairs, gpu_->send_pairs, sz(sum(pairs_out_)) * sizeof(Pair),
                    "pairs");
  expect_same<float>(cpu_->send_rows, gpu_->send_rows, sent * width, "rows");
  exchange(*cpu_);
  exchange(*gpu_);
  const std::size_t received = sz(sum(rows_in_));
  expect_same<char>(cpu_->recv_pairs, gpu_->recv_pairs, sz(sum(pairs_in_)) * sizeof(Pair),
                    "received pairs");
  expect_same<float>(cpu_->recv_rows, gpu_->recv_rows, received * width, "received rows");

  experts(*cpu_);
  experts(*gpu_);
  expect_same<std::int32_t>(cpu_->slot_tokens, gpu_->slot_tokens, to_slots_.size(), "slot tokens");
  expect_near(cpu_->results, gpu_->results, received * width, 1e-4F, "results");

  gpu_->copy(gpu_->results, *cpu_->device, cpu_->results);
  std::vector<float> shared(sz(tokens_) * width);
  fill_input(shared, 3, 1, 0, model_.hidden);
  for (Side* side : {cpu_.get(), gpu_.get()}) {
    side->device->upload(side->shared_sums, 0, shared.data(), shared.size() * sizeof(float));
    combine(*side);
  }
  expect_same<float>(cpu_->returned, gpu_->returned, sent * width, "returned rows");
  expect_same<float>(cpu_->x, gpu_->x, sz(tokens_) * width, "hidden state");
}

// Experts a rank; widths that threads take in fours, in twos of bytes, one by one; rows longer than
// a block; tokens and pairs more than a block walks at once; ranks without tokens.
INSTANTIATE_TEST_SUITE_P(Shapes, Phases,
                         testing::Values(std::tuple{shape(6, 3, 0, 48, 32), 61},
                                         std::tuple{shape(3, 2, 0, 30, 18), 37},
                                         std::tuple{shape(40, 6, 0, 33, 17), 50},
                                         std::tuple{shape(2, 2, 0, 1100, 16), 5},
                                         std::tuple{shape(4, 4, 0, 16, 16), 600},
                                         std::tuple{shape(1, 1, 0, 16, 16), 3}));

}  // namespace
}  // namespace gembench
