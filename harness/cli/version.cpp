#include "harness/cli/version.hpp"

#include <fmt/format.h>

#include <boost/version.hpp>
#include <nlohmann/json.hpp>

#include "git_commit.hpp"  // made by the build
#include "harness/cli/device_kinds.hpp"
#include "moe_layer/cpu/gemm.hpp"
#include "moe_layer/mpi/clock.hpp"
#include "moe_layer/mpi/comm.hpp"
#include "results/hdf5/library.hpp"
#include "results/run_file.hpp"

namespace gembench::inline cli {

std::string version_number() {
  return GEMBENCH_VERSION;
}

std::string program_version() {
  return fmt::format("gembench {} (git {})", GEMBENCH_VERSION, GEMBENCH_GIT);
}

std::string program_commit() {
  return GEMBENCH_GIT;
}

std::string build_description() {
  return GEMBENCH_BUILD;
}

std::string version_text() {
  return fmt::format(
      "{}\nbuild {}\ndevices {}\nresults schema {} {}\n{}\n{}\n{}\n{}\nBoost {}.{}\nfmt {}.{}.{}\n"
      "nlohmann/json {}.{}.{}\n",
      program_version(), build_description(), installed_devices(), kRunSchema, kRunSchemaVersion,
      MpiSession::library_version(), cpu_gemm_version(), h5::library_version(), hwloc_version(),
      BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, FMT_VERSION / 10000,
      FMT_VERSION / 100 % 100, FMT_VERSION % 100, NLOHMANN_JSON_VERSION_MAJOR,
      NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
}

}  // namespace gembench::inline cli
