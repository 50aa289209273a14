#include "moe_layer/cpu/device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/cpu/tuning.hpp"
#include "moe_layer/model/weights.hpp"

namespace gembench {
namespace {

ModelShape shape(int hidden, int ffn) {
  ModelShape model;
  model.name = "made up";
  model.layers = 1;
  model.experts = 4;
  model.topk = 3;
  model.hidden = hidden;
  model.ffn = ffn;
  return model;
}

/// experts() for rows from two senders that want one, two or three experts, in any order of slots.
struct Phase {
  Phase(const Comm& comm, DType dtype, bool one_slot = false)
      : model(shape(48, 32)), device(make_cpu_device(comm, model, dtype)) {
    const std::size_t hidden = static_cast<std::size_t>(model.hidden);
    for (int row = 0; row < kRows; ++row) {
      const int wanted = one_slot ? 1 : 1 + row % 3;
      for (int j = 0; j < wanted; ++j) {
        const int slot = one_slot ? 2 : (row * 3 + (row % 2 == 0 ? j : wanted - j)) % model.experts;
        pairs.push_back(
            {row < kFromFirst ? row : row - kFromFirst, slot, 0.25F * static_cast<float>(j + 1)});
        absolute.push_back(row);
      }
    }
    x.resize(kRows * hidden);
    fill_input(x, 1, 0, 0, model.hidden);
    std::vector<std::uint16_t> halves;
    for (float& value : x) {
      halves.push_back(to_bf16(value));
      if (dtype == DType::bf16) value = from_bf16(halves.back());
    }
    rows = device->allocate(x.size() * size_of(dtype));
    if (dtype == DType::bf16) {
      device->upload(rows, 0, halves.data(), rows.bytes());
    } else {
      device->upload(rows, 0, x.data(), rows.bytes());
    }
    sums = device->allocate(x.size() * sizeof(float));
    results = device->allocate(rows.bytes());
    slot_tokens = device->allocate(sizeof(std::int32_t) * 4);
    sent = device->allocate(pairs.size() * sizeof(Pair));
    device->upload(sent, 0, pairs.data(), sent.bytes());
    for (int e = 0; e < model.experts; ++e) {
      fill_expert(plain.emplace_back(), 1, 0, e, model, dtype);
      weights.push_back(device->allocate(device->expert_bytes()));
      device->load_expert(weights.back(), plain.back());
    }
    device->prepare({0, kRows, pairs.size()});
  }
  /// f32 [row][hidden]
  std::vector<float> run() {
    std::vector<const Buffer*> slots;
    for (const Buffer& expert : weights) slots.push_back(&expert);
    const std::int32_t rows_from[] = {kFromFirst, kRows - kFromFirst};
    const auto first = static_cast<std::int32_t>(
        std::ranges::count_if(absolute, [](int row) { return row < kFromFirst; }));
    const std::int32_t pairs_from[] = {first, static_cast<std::int32_t>(pairs.size()) - first};
    std::vector<float> garbage(x.size(), -1e30F);  // nothing of it may be left
    device->upload(sums, 0, garbage.data(), sums.bytes());
    device->upload(results, 0, garbage.data(), results.bytes());
    ExpertArgs args;
    args.slots = slots;
    args.rows_from = rows_from;
    args.pairs_from = pairs_from;
    args.rows = &rows;
    args.pairs = &sent;
    args.sums = &sums;
    args.results = &results;
    args.slot_tokens = &slot_tokens;
    device->experts({}, args);
    std::vector<float> out(x.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = device->dtype() == DType::f32 ? results.as<float>()[i]
                                             : from_bf16(results.as<std::uint16_t>()[i]);
    }
    return out;
  }

  static constexpr int kRows = 41, kFromFirst = 17;
  ModelShape model;
  std::unique_ptr<Device> device;
  std::vector<Pair> pairs;
  std::vector<int> absolute;  // [pair]
  std::vector<float> x;
  std::vector<PlainExpert> plain;
  std::vector<Buffer> weights;
  Buffer rows, sums, results, slot_tokens, sent;
};

std::vector<double> plain_output(const float* x, const PlainExpert& expert, const ModelShape& m) {
  const auto hidden = static_cast<std::size_t>(m.hidden), ffn = static_cast<std::size_t>(m.ffn);
  std::vector<double> out(hidden, 0);
  for (std::size_t j = 0; j < ffn; ++j) {
    double gate = 0, up = 0;
    for (std::size_t i = 0; i < hidden; ++i) {
      gate += double{x[i]} * double{expert.gate[i * ffn + j]};
      up += double{x[i]} * double{expert.up[i * ffn + j]};
    }
    const double inner = gate / (1 + std::exp(-gate)) * up;
    for (std::size_t i = 0; i < hidden; ++i) out[i] += inner * double{expert.down[j * hidden + i]};
  }
  return out;
}

TEST(CpuDevice, rows_of_one_and_of_several_experts_are_summed_right) {
  const Comm comm = Comm::world();
  std::vector<std::pair<DType, bool>> cases = {{DType::f32, false}, {DType::f32, true}};
  if (best_cpu_dtype() == DType::bf16) {
    cases.insert(cases.end(), {{DType::bf16, false}, {DType::bf16, true}});
  }
  for (const auto& [dtype, one_slot] : cases) {
    Phase phase(comm, dtype, one_slot);  // one slot: rows lie in order, nothing is gathered
    const auto out = phase.run();
    const auto hidden = static_cast<std::size_t>(phase.model.hidden);
    std::vector<double> expected(out.size(), 0);
    for (std::size_t p = 0; p < phase.pairs.size(); ++p) {
      const auto row = static_cast<std::size_t>(phase.absolute[p]) * hidden;
      const auto one = plain_output(
          &phase.x[row], phase.plain[static_cast<std::size_t>(phase.pairs[p].slot)], phase.model);
      for (std::size_t i = 0; i < hidden; ++i) {
        expected[row + i] += double{phase.pairs[p].weight} * one[i];
      }
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(double{out[i]}, expected[i], dtype == DType::f32 ? 1e-5 : 0.02)
          << name_of(dtype) << " row " << i / hidden;
    }
  }
}

// Large enough for its chunks to be measured.
TEST(CpuDevice, ranks_agree_on_their_chunks_and_a_shape_is_measured_once) {
  const Comm comm = Comm::world();
  const ModelShape model = shape(416, 400);
  ASSERT_TRUE(worth_measuring(model.hidden, model.ffn));
  CpuDevice first(comm, model, best_cpu_dtype()), second(comm, model, best_cpu_dtype());
  first.prepare({1, 1, 1});
  second.prepare({1, 1, 1});
  std::vector<std::int32_t> mine, again;
  for (int rows = 1; rows <= 1024; ++rows) {
    for (const bool begins : {true, false}) {
      mine.push_back(first.chunks().rows_of(rows, begins));
      again.push_back(second.chunks().rows_of(rows, begins));
    }
  }
  EXPECT_EQ(mine, again);
  std::vector<std::int32_t> all(mine.size() * static_cast<std::size_t>(comm.size()));
  comm.all_gather(mine, all);
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], mine[i % mine.size()]);
}

}  // namespace
}  // namespace gembench
