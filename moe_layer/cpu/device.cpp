#include "moe_layer/cpu/device.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/cpu/payload.hpp"
#include "moe_layer/cpu/row_math.hpp"
#include "moe_layer/model/weights.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {

CpuDevice::CpuDevice(const Comm& comm, const ModelShape& model, DType dtype)
    : comm_(comm),
      dtype_(dtype),
      hidden_(sz(model.hidden)),
      routing_(model, dtype),
      packing_(comm.size(), model.topk, hidden_ * size_of(dtype)),
      experts_(model, dtype) {}

std::string CpuDevice::name() const {
  return fmt::format("cpu: {} {}, one thread a rank", cpu_gemm_version(), name_of(dtype_));
}

void CpuDevice::prepare(const LayerLimits& limits) {
  experts_.prepare(comm_, limits);
  routing_.prepare();
}

void CpuDevice::make_inputs(Stream, const InputArgs& args) {
  fill_input({args.hidden_state->as<float>(), sz(args.tokens) * hidden_}, args.seed, args.step,
             args.first_token, static_cast<int>(hidden_));
}

void CpuDevice::merge(Stream, const MergeArgs& args) {
  float* sums = args.sums->as<float>();
  std::fill_n(sums, sz(args.rows) * hidden_, 0.0F);
  add_rows(dtype_, hidden_, args.returned_rows, *args.returned, *args.row_source, sums);
  to_payload(dtype_, sums, args.results->as<char>(), sz(args.rows) * hidden_);
}

void CpuDevice::combine(Stream, const CombineArgs& args) {
  float* x = args.hidden_state->as<float>();
  add_rows(dtype_, hidden_, args.rows, *args.returned, *args.row_token, x);
  if (args.shared) add_scaled(x, args.shared->as<float>(), 1.0F, sz(args.tokens) * hidden_);
}

void CpuDevice::spin(Stream, double seconds) {
  const double until = wall_seconds() + seconds;
  while (wall_seconds() < until) {
  }
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

}  // namespace gembench::inline cpu
