#include "moe_layer/cpu/feed_forward.hpp"

#include "moe_layer/cpu/memory.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {
CpuFeedForward::CpuFeedForward(int hidden, int ffn, DType dtype)
    : gate_(hidden, ffn, dtype, DType::f32, Epilogue::swish),
      up_(hidden, ffn, dtype, dtype, Epilogue::multiply),
      down_(ffn, hidden, dtype, DType::f32, Epilogue::none),
      plan_(assumed_costs()),
      activated_(cpu_memory(CpuGemm::kChunk * sz(ffn) * sizeof(float))),
      inner_(cpu_memory(CpuGemm::kChunk * sz(ffn) * size_of(dtype))),
      product_(cpu_memory(CpuGemm::kChunk * sz(hidden) * sizeof(float))) {}

std::size_t CpuFeedForward::offset_of_up() const {
  return in_cache_lines(gate_.packed_bytes());
}
std::size_t CpuFeedForward::offset_of_down() const {
  return offset_of_up() + in_cache_lines(up_.packed_bytes());
}
std::size_t CpuFeedForward::expert_bytes() const {
  return offset_of_down() + down_.packed_bytes();
}

void CpuFeedForward::load(const PlainExpert& plain, char* to) {
  gate_.pack(plain.gate.data(), to);
  up_.pack(plain.up.data(), to + offset_of_up());
  down_.pack(plain.down.data(), to + offset_of_down());
}

void CpuFeedForward::prepare(const ChunkPlan& plan) {
  plan_ = plan;
  const auto counts = plan.row_counts();
  for (CpuGemm* gemm : {&gate_, &up_, &down_}) gemm->prepare(counts);
}

void CpuFeedForward::make(int rows) {
  for (CpuGemm* gemm : {&gate_, &up_, &down_}) gemm->make(rows);
}

const float* CpuFeedForward::run(int rows, const char* x, const char* weights) {
  gate_.run(rows, x, weights, activated_.as<char>());
  up_.run(rows, x, weights + offset_of_up(), inner_.as<char>(), activated_.as<float>());
  down_.run(rows, inner_.as<char>(), weights + offset_of_down(), product_.as<char>());
  return product_.as<float>();
}

}  // namespace gembench::inline cpu
