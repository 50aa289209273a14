#pragma once

#include <functional>
#include <string>

#include "moe_layer/mpi/comm.hpp"

/// What started this process, as far as that can be known before MPI starts.
namespace gembench::inline mpi {

/// This process's rank and rank count as its launcher set them in the environment; 0 and 1 when
/// there is no launcher.
struct Launch {
  int rank = 0;
  int size = 1;        ///< 0 when not known
  int local_size = 1;  ///< on this node; 0 when not known
  std::string by;      ///< "mpirun", "srun", ...; empty: by itself

  bool operator==(const Launch&) const = default;
};
/// The value of an environment variable, or null.
using Variable = std::function<const char*(const char* name)>;
[[nodiscard]] Launch launch_in(const Variable& variable);

/// This process's own, as it was when first asked.
[[nodiscard]] const Launch& launched_as();
/// Environment errors where a launcher has started several tasks that do not find each other, so
/// that each would be a run of its own. Before MPI starts, and after.
void require_launcher();
void require_all_ranks(const Comm& comm);

}  // namespace gembench::inline mpi
