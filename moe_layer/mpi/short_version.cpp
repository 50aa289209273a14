#include "moe_layer/mpi/short_version.hpp"

#include <algorithm>
#include <string_view>

namespace gembench::inline mpi {

std::string short_version(const std::string& told) {
  // Open MPI goes on with a comma, MPICH with lines of how it was configured.
  std::string text = told.substr(0, told.find_first_of(",\n"));
  if (const auto words = text.find(" Version:"); words != std::string::npos) {
    const auto number = text.find_first_not_of(" \t", words + std::string_view(" Version:").size());
    text.erase(words + 1, std::min(number, text.size()) - words - 1);
  }
  return text.substr(0, text.find_last_not_of(" \t\r") + 1);
}

}  // namespace gembench::inline mpi
