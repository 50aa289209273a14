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

/// Collective: what --device asks for, connected with the other ranks' devices. Two ranks on one
/// GPU are refused unless --transport mpi allows it. Those of simulated ranks are not connected.
[[nodiscard]] std::unique_ptr<Device> make_device(const Comm& comm, const SessionOptions& options,
                                                  const ModelShape& model);

/// Collective: what the devices say of themselves now, on rank 0; empty where they say nothing.
[[nodiscard]] std::vector<GpuReading> read_states(const Comm& comm, Device& device);

/// Collective: the same, and of CPUs what Linux says of them.
[[nodiscard]] std::vector<GpuReading> read_all_states(const Comm& comm, Device& device);

/// Collective: by name, [rank] on rank 0: "host", "device_name", "device_id" (a GPU's uuid, or the
/// CPUs that a rank may run on).
[[nodiscard]] std::map<std::string, std::vector<std::string>> device_identities(
    const Comm& comm, const Device& device, const RankPlace& place);

}  // namespace gembench::inline run
