#pragma once

#include <map>
#include <string>
#include <string_view>

namespace gembench::inline run {

/// Environment variables worth keeping with results, as "env_NAME": settings of MPI, Slurm, NCCL,
/// UCX, CUDA and OpenMP. An allow-list, since a whole environment holds secrets. `environment` as
/// in environ.
[[nodiscard]] std::map<std::string, std::string> kept_environment(const char* const* environment);

/// Whether a value names a network address or a temporary folder: of this run alone, and nobody
/// else's business.
[[nodiscard]] bool is_of_this_run_alone(std::string_view value);

}  // namespace gembench::inline run
