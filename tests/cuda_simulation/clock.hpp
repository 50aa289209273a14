#pragma once

#include <cstdint>
#include <functional>

#include "tests/cuda_simulation/queue.hpp"

namespace gembench::simulation {

/// What the virtual clock is told that things take, in ns.
constexpr std::int64_t kPieceOfWork = 1000, kMessage = 1000, kReading = 32;

/// %globaltimer of this rank's GPU, in ns, with its offset, drift and step. A reading of a virtual
/// clock takes time too, so that kernels which spin by it come to an end.
std::uint64_t read_clock();

/// s, as events show it: of the virtual clock, else of the host's.
[[nodiscard]] double event_time();

/// The rest is about a virtual clock, and does nothing where the clock is the host's. Times are in
/// ns and without offset, drift and step: those of all ranks may be compared.
[[nodiscard]] bool is_virtual();
[[nodiscard]] std::int64_t virtual_time();
/// Something took so long.
void pass_time(std::int64_t nanoseconds);
/// Something came that was sent then.
void receive_time(std::int64_t sent);
/// The work, with the time that it takes when it ran.
Run with_time(Run run);

}  // namespace gembench::simulation
