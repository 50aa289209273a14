#include "moe_layer/cpu/device.hpp"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <map>
#include <tuple>

#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/cpu/state.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "placement/base/error.hpp"
#include "placement/base/index.hpp"

namespace gembench::inline cpu {
CpuDevice::CpuDevice(const Comm& comm, const ModelShape& model, DType dtype)
    : comm_(comm),
      model_(model),
      dtype_(dtype),
      hidden_(sz(model.hidden)),
      row_bytes_(hidden_ * size_of(dtype)),
      experts_(model.hidden, model.ffn, dtype),
      router_(model.hidden, model.experts, DType::f32, DType::f32, Epilogue::none),
      gathered_(cpu_memory(CpuGemm::kChunk * row_bytes_)),
      normed_(CpuGemm::kChunk * hidden_),
      logits_(CpuGemm::kChunk * sz(model.experts)),
      seen_(sz(comm.size())),
      first_row_(sz(comm.size())),
      row_at_(sz(comm.size())),
      pair_at_(sz(comm.size())) {
  std::memset(gathered_.as<char>(), 0, gathered_.bytes());
}

std::string CpuDevice::name() const {
  return fmt::format("cpu: {} {}, one thread a rank", cpu_gemm_version(), name_of(dtype_));
}

std::vector<ChunkCost> CpuDevice::agreed_costs() {
  const bool tiles = cpu_has_tiles(dtype_);
  // One row a rank: its kind of CPU, then [rows][first, next] in units of 10 ns, 0 = not measured.
  constexpr double kUnit = 1e-8;
  constexpr std::size_t kColumns = 1 + 2 * (CpuGemm::kChunk + 1);
  std::vector<std::int32_t> mine(kColumns, 0), all(kColumns * sz(comm_.size()));
  mine[0] = static_cast<std::int32_t>(
      std::hash<std::string>{}(fmt::format("{} {} {}", cpu_model(), tiles, cpu_gemm_version())));
  for (const ChunkCost& cost : measure_chunks(experts_, row_bytes_, tiles)) {
    if (cost.first + cost.next > kUnit * std::numeric_limits<std::int32_t>::max()) continue;
    const std::size_t at = 1 + 2 * sz(cost.rows);
    mine[at] = static_cast<std::int32_t>(cost.first / kUnit) + 1;
    mine[at + 1] = static_cast<std::int32_t>(cost.next / kUnit) + 1;
  }
  comm_.all_gather(mine, all);
  for (std::size_t rank = 0; rank < sz(comm_.size()); ++rank) {
    const std::int32_t* other = &all[rank * kColumns];
    if (other[0] != mine[0]) continue;
    for (std::size_t i = 1; i < kColumns; ++i) {
      if (other[i] > 0) mine[i] = mine[i] > 0 ? std::min(mine[i], other[i]) : other[i];
    }
  }
  std::vector<ChunkCost> measured;
  for (int rows = 1; rows <= CpuGemm::kChunk; ++rows) {
    const std::size_t at = 1 + 2 * sz(rows);
    if (mine[at] > 0) measured.push_back({rows, mine[at] * kUnit, mine[at + 1] * kUnit});
  }
  return complete_costs(measured, tiles);
}

void CpuDevice::prepare(const LayerLimits& limits) {
  if (!worth_measuring(model_.hidden, model_.ffn)) {
    experts_.prepare(ChunkPlan(assumed_costs()));
  } else {
    // Measured once a shape and process. All layers and experts of a run have one plan, and so have
    // all ranks with one kind of CPU: were each to follow its own readings, what noise made of them
    // would look like a slower rank. Ranks with other CPUs follow their own, which is what makes
    // them as fast as they are; results differ by rounding at most. Every rank makes the same
    // devices in the same order, so that all of them know a shape or none does.
    using Shape = std::tuple<int, int, DType, int>;
    static std::map<Shape, ChunkPlan> known;
    const Shape shape{model_.hidden, model_.ffn, dtype_, comm_.size()};
    auto found = known.find(shape);
    if (found == known.end()) found = known.emplace(shape, ChunkPlan(agreed_costs())).first;
    experts_.prepare(found->second);
  }
  router_.prepare();
  order_.reserve(limits.pairs);
  absolute_.reserve(limits.pairs);
}

std::size_t CpuDevice::scratch_bytes(const LayerLimits& limits) const {
  const std::size_t lists = 2 * limits.pairs * sizeof(std::int32_t);
  return lists + (worth_measuring(model_.hidden, model_.ffn) ? measuring_bytes(expert_bytes()) : 0);
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
