#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/cli/options.hpp"
#include "moe_layer/device/device.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "results/run_file.hpp"

namespace gembench::inline run {

/// Collective: the device of --device, connected with the other ranks' devices. Two ranks on one
/// GPU are rejected unless --transport mpi or NCCL's own variable (since 2.30) allows it. Devices
/// of simulated ranks are not connected. `earlier_products`: how a run that this goes on with
/// computed experts' products, by its file.
[[nodiscard]] std::unique_ptr<Device> make_device(const Comm& comm, const SessionOptions& options,
                                                  const ModelShape& model,
                                                  const std::string& earlier_products = {});

/// Collective: whether some GPU is that of several ranks, so that times are those of a shared one.
[[nodiscard]] bool gpus_are_shared(const Comm& comm, const Device& device);

/// Collective: the current state of the devices, on rank 0; empty if they report none.
[[nodiscard]] std::vector<GpuReading> read_states(const Comm& comm, Device& device);

/// Collective: the same; for CPUs the state that Linux reports.
[[nodiscard]] std::vector<GpuReading> read_all_states(const Comm& comm, Device& device);

/// Collective: by name, [rank] on rank 0: "host", "device_name", "device_id" (a GPU's uuid, or the
/// CPUs that a rank may run on).
[[nodiscard]] std::map<std::string, std::vector<std::string>> device_identities(
    const Comm& comm, const Device& device, const RankPlace& place);

}  // namespace gembench::inline run
