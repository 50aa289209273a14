#pragma once

#include <map>
#include <string>
#include <string_view>

namespace gembench::inline run {

/// Environment variables worth keeping with results, as "env_NAME": settings of MPI, Slurm, NCCL,
/// UCX, CUDA and OpenMP. An allow-list, since a whole environment holds secrets; of Slurm, whose
/// variables also say who runs a job and who pays for it, by whole names. `environment` as in
/// environ: its HOME, USER and LOGNAME say what is personal.
[[nodiscard]] std::map<std::string, std::string> kept_environment(const char* const* environment);

/// Whether a value names a network address or a temporary folder: of this run alone, and nobody
/// else's business.
[[nodiscard]] bool is_of_this_run_alone(std::string_view value);

/// Whether a kept "env_NAME" names the job or its nodes.
[[nodiscard]] bool names_job(std::string_view kept);

}  // namespace gembench::inline run
