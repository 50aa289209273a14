#include "harness/run/devices.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

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

/// Of "2.28.9"; false for what is no version.
bool since_2_30(const std::string& version) {
  int major = 0, minor = 0;
  char point = 0;
  std::istringstream(version) >> major >> point >> minor;
  return std::pair(major, minor) >= std::pair(2, 30);
}

/// By NCCL's own variable, which older ones do not know.
bool nccl_may_share(const Device& device) {
  const char* const value = std::getenv("NCCL_MULTI_RANK_GPU_ENABLE");
  return value != nullptr && std::string_view(value) == "1" &&
         since_2_30(device.facts().at("nccl"));
}

/// The first two ranks with the same; on rank 0.
std::optional<std::pair<std::size_t, std::size_t>> sharers(const std::vector<std::string>& uuids) {
  std::map<std::string, std::size_t> owner;
  for (std::size_t rank = 0; rank < uuids.size(); ++rank) {
    const auto [first, own] = owner.try_emplace(uuids[rank], rank);
    if (!own) return std::pair(first->second, rank);
  }
  return std::nullopt;
}

/// NCCL rejects ranks that share a GPU with an unclear message, or waits for ever.
void require_own_gpus(const Comm& comm, const Device& device) {
  const auto uuids = comm.gather(device.facts().at("gpu_uuid"));
  const bool may_share = comm.min(device.can_share() || nccl_may_share(device) ? 1 : 0) == 1;
  on_root(comm, [&] {
    const auto two = sharers(uuids);
    if (!two || may_share) return;
    throw Error(
        ExitCode::environment,
        fmt::format("ranks {} and {} share {}: start one rank for every GPU, with all of "
                    "a node's GPUs visible or one bound to each rank, or allow it with "
                    "--transport mpi, or from NCCL 2.30 on (here: {}) with "
                    "NCCL_MULTI_RANK_GPU_ENABLE=1 on every rank",
                    two->first, two->second, uuids[two->second], device.facts().at("nccl")));
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

bool gpus_are_shared(const Comm& comm, const Device& device) {
  const auto facts = device.facts();
  if (comm.is_simulated() || !facts.contains("gpu_uuid")) return false;
  const auto uuids = comm.gather(facts.at("gpu_uuid"));
  return comm.max(sharers(uuids) ? 1 : 0) > 0;
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
