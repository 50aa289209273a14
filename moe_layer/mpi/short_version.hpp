#pragma once

#include <string>

namespace gembench::inline mpi {

/// The first words of what an MPI library says of itself: "Open MPI v4.1.4", "MPICH 4.2.1".
[[nodiscard]] std::string short_version(const std::string& told);

}  // namespace gembench::inline mpi
