#include "harness/run/devices.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <string_view>

#include "harness/cli/device_kinds.hpp"
#include "harness/cli/version.hpp"
#include "harness/run/collective_errors.hpp"
#include "moe_layer/cpu/make_device.hpp"
#include "moe_layer/cpu/state.hpp"
#include "moe_layer/device/cuda_plugin.hpp"

namespace gembench::inline run {
namespace {

DType dtype_of(const SessionOptions& options) {
  if (options.dtype != "auto") return options.dtype == "bf16" ? DType::bf16 : DType::f32;
  return device_kind(options.device).best_dtype();
}

/// By NCCL's own variable, which NCCL knows since 2.30.
bool nccl_may_share() {
  const char* const value = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return value != nullptr && std::string_view(value) == "1";
}

/// NCCL rejects ranks that share a GPU with an unclear message, and times of ranks that share a GPU
/// are meaningless.
void require_own_gpus(const Comm& comm, const Device& device) {
  const auto uuids = comm.gather(device.facts().at("gpu_uuid"));
  on_root(comm, [&] {
    std::map<std::string, std::size_t> owner;
    for (std::size_t rank = 0; rank < uuids.size(); ++rank) {
      const auto [first, own] = owner.try_emplace(uuids[rank], rank);
      if (own || device.can_share() || nccl_may_share()) continue;
      throw Error(ExitCode::environment,
                  fmt::format("ranks {} and {} share {}: start one rank for every GPU, with all of "
                              "a node's GPUs visible or one bound to each rank, or allow it with "
                              "--transport mpi",
                              first->second, rank, uuids[rank]));
    }
  });
}

}  // namespace

std::unique_ptr<Device> make_device(const Comm& comm, const SessionOptions& options,
                                    const ModelShape& model, const std::string& earlier_products) {
  const DeviceKind& kind = device_kind(options.device);
  std::unique_ptr<Device> device;
  on_every_rank(comm, [&] {
    device = kind.gpu ? make_cuda_device(
                            comm, model,
                            {dtype_of(options), options.transport, options.lock_clocks.value_or(0),
                             options.expert_products, earlier_products, options.launch == "graph"},
                            program_commit())
                      : make_cpu_device(comm, model, dtype_of(options));
  });
  if (comm.is_simulated()) return device;
  if (kind.gpu) require_own_gpus(comm, *device);
  device->connect();
  return device;
}

namespace {

std::vector<GpuReading> gather_states(const Comm& comm, const DeviceState& mine) {
  const GpuReading reading{mine.clock, mine.memory_clock, mine.power, mine.temperature,
                           mine.throttle_reasons};
  return comm.gather(std::span<const GpuReading>(&reading, 1));
}

}  // namespace

std::vector<GpuReading> read_states(const Comm& comm, Device& device) {
  const auto state = device.state();  // all ranks have one kind of device
  return state ? gather_states(comm, *state) : std::vector<GpuReading>();
}

std::vector<GpuReading> read_all_states(const Comm& comm, Device& device) {
  const auto state = device.state();
  return gather_states(comm, state ? *state : cpu_state(current_cpu()));
}

std::map<std::string, std::vector<std::string>> device_identities(const Comm& comm,
                                                                  const Device& device,
                                                                  const RankPlace& place) {
  const auto facts = device.facts();
  const bool gpu = facts.contains("gpu_uuid");
  return {{"host", comm.gather(place.host)},
          {"device_name", comm.gather(gpu ? facts.at("gpu") : cpu_model())},
          {"device_id", comm.gather(gpu ? facts.at("gpu_uuid") : cpu_list(place.cpus))}};
}

}  // namespace gembench::inline run
