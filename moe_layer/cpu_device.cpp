#include "moe_layer/cpu_device.hpp"

#include <fmt/format.h>

#include "moe_layer/clock.hpp"
#include "placement/error.hpp"

namespace gembench {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t sz(int value) {
  return static_cast<std::size_t>(value);
}

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

CpuDevice::CpuDevice(const Comm& comm, const ModelShape& model, DType dtype)
    : comm_(comm),
      model_(model),
      dtype_(dtype),
      hidden_(sz(model.hidden)),
      row_bytes_(hidden_ * size_of(dtype)),
      gate_(model.hidden, model.ffn, dtype, DType::f32, Epilogue::swish),
      up_(model.hidden, model.ffn, dtype, dtype, Epilogue::multiply),
      down_(model.ffn, model.hidden, dtype, DType::f32, Epilogue::none),
      router_(model.hidden, model.experts, DType::f32, DType::f32, Epilogue::none),
      gathered_(CpuGemm::kChunk * row_bytes_),
      activated_(CpuGemm::kChunk * sz(model.ffn)),
      inner_(CpuGemm::kChunk * sz(model.ffn) * size_of(dtype)),
      product_(CpuGemm::kChunk * hidden_),
      normed_(CpuGemm::kChunk * hidden_),
      logits_(CpuGemm::kChunk * sz(model.experts)),
      seen_(sz(comm.size())),
      first_row_(sz(comm.size())),
      row_at_(sz(comm.size())),
      pair_at_(sz(comm.size())) {}

std::string CpuDevice::name() const {
  return fmt::format("cpu: {} {}, one thread a rank", cpu_gemm_version(), name_of(dtype_));
}

Buffer CpuDevice::allocate(std::size_t bytes) {
  void* memory = std::aligned_alloc(kAlignment, aligned(std::max<std::size_t>(bytes, 1)));
  if (memory == nullptr) {
    throw Error(
        ExitCode::environment,
        fmt::format("{:.1f} MiB of memory are not to be had: use fewer --tokens or --layers, "
                    "or a larger --scale",
                    static_cast<double>(bytes) / 0x1p20));
  }
  return {memory, bytes, std::free};
}

void CpuDevice::prepare(const LayerLimits& limits) {
  for (CpuGemm* gemm : {&gate_, &up_, &down_, &router_}) gemm->prepare();
  order_.reserve(limits.pairs);
  absolute_.reserve(limits.pairs);
}

std::size_t CpuDevice::scratch_bytes(const LayerLimits& limits) const {
  return 2 * limits.pairs * sizeof(std::int32_t);
}

void CpuDevice::spin(Stream, double seconds) {
  const double until = wall_seconds() + seconds;
  while (wall_seconds() < until) {
  }
}

std::size_t CpuDevice::offset_of_up() const {
  return aligned(gate_.packed_bytes());
}
std::size_t CpuDevice::offset_of_down() const {
  return offset_of_up() + aligned(up_.packed_bytes());
}
std::size_t CpuDevice::expert_bytes() const {
  return offset_of_down() + down_.packed_bytes();
}

void CpuDevice::load_expert(Buffer& to, const PlainExpert& plain) {
  gate_.pack(plain.gate.data(), to.as<char>());
  up_.pack(plain.up.data(), to.as<char>() + offset_of_up());
  down_.pack(plain.down.data(), to.as<char>() + offset_of_down());
}

void CpuDevice::feed_forward(int m, const char* rows, const Buffer& weights) {
  const char* packed = weights.as<char>();
  gate_.run_chunk(m, rows, packed, activated_.data());
  up_.run_chunk(m, rows, packed + offset_of_up(), inner_.data(), activated_.data());
  down_.run_chunk(m, inner_.data(), packed + offset_of_down(), product_.data());
}

DType best_cpu_dtype() {
  return cpu_has_bf16() ? DType::bf16 : DType::f32;
}

std::unique_ptr<Device> make_cpu_device(const Comm& comm, const ModelShape& model, DType dtype) {
  if (dtype == DType::bf16 && !cpu_has_bf16()) {
    throw Error(
        ExitCode::environment,
        "--dtype bf16 needs a CPU with AVX-512 BF16, which this one lacks: use --dtype f32");
  }
  return std::make_unique<CpuDevice>(comm, model, dtype);
}

}  // namespace gembench
