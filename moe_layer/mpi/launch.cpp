#include "moe_layer/mpi/launch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "placement/base/error.hpp"

namespace gembench::inline mpi {
namespace {

/// What a launcher tells its tasks; null: it does not tell that.
struct Launcher {
  const char* name;
  const char* size;
  const char* rank;
  const char* local_size;
};
/// The first row whose variables are set has started this task: the others' may be those of a step
/// that it runs in.
constexpr Launcher kLaunchers[] = {
    // Open MPI of any version, its mpirun being ORTE's or PRRTE's.
    {"mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    // MPICH's hydra, and those made of it.
    {"mpiexec", "PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS"},
    {"jsrun", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_LOCAL_SIZE"},
    {"flux run", "FLUX_JOB_SIZE", "FLUX_TASK_RANK", nullptr},
    // Of a step's tasks: a batch script has a SLURM_PROCID too, and SLURM_NTASKS of the job. Of
    // tasks a node Slurm tells "2(x2)", or "3,1": the first node's.
    {"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_TASKS_PER_NODE"},
    // PRRTE by itself, and whatever else speaks PMIx only.
    {"prterun", nullptr, "PMIX_RANK", nullptr},
};

const Launcher& row(std::string_view name) {
  return *std::ranges::find(kLaunchers, name, &Launcher::name);
}

int number(const Variable& variable, const char* name, int otherwise) {
  const char* text = name ? variable(name) : nullptr;
  return text ? std::atoi(text) : otherwise;
}

bool started_by(const Launcher& one, const Variable& variable) {
  return variable(one.rank) && (!one.size || variable(one.size));
}

const Launcher* launcher_in(const Variable& variable) {
  for (const Launcher& one : kLaunchers) {
    if (!started_by(one, variable)) continue;
    // srun --mpi=pmi2 speaks as mpiexec does, but for the tasks of a node.
    const Launcher& srun = row("srun");
    const bool of_slurm = one.name == std::string_view("mpiexec") && !variable(one.local_size) &&
                          number(variable, srun.size, 0) == number(variable, one.size, -1);
    return of_slurm ? &srun : &one;
  }
  return nullptr;
}

[[noreturn]] void refuse_singletons(const Launch& launch) {
  throw Error(
      ExitCode::environment,
      fmt::format("{} started {} tasks and MPI knows of one only: {}", launch.by, launch.size,
                  launch.by == "srun"
                      ? "add --mpi=pmix to srun (srun --mpi=list says what it has), or "
                        "start with mpirun"
                      : "start with the mpirun of the MPI that gembench is built with, " +
                            MpiSession::library_version()));
}

}  // namespace

Launch launch_in(const Variable& variable) {
  const Launcher* one = launcher_in(variable);
  if (!one) return {};
  return {number(variable, one->rank, 0), number(variable, one->size, 0),
          number(variable, one->local_size, 0), one->name};
}

// Once, before MPI: a singleton's MPI_Init sets some of these variables itself.
const Launch& launched_as() {
  static const Launch launch = launch_in([](const char* name) { return std::getenv(name); });
  return launch;
}

void require_launcher() {
  // Open MPI finds the other tasks of a step by PMIx; without it MPI_Init itself may end the task.
  const Launch& launch = launched_as();
  const bool told = std::getenv("PMIX_RANK") || std::getenv("PMI_RANK");
  const bool open_mpi = MpiSession::library_version().starts_with("Open MPI");
  if (open_mpi && launch.by == "srun" && launch.size > 1 && !told) refuse_singletons(launch);
}

void require_all_ranks(const Comm& comm) {
  if (comm.size() == 1 && launched_as().size > 1) refuse_singletons(launched_as());
}

}  // namespace gembench::inline mpi
