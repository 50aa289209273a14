#include "harness/version.hpp"

#include <fmt/format.h>

#include <boost/version.hpp>

#include "git_commit.hpp"  // made by the build
#include "moe_layer/comm.hpp"
#include "moe_layer/cpu_gemm.hpp"
#include "results/run_file.hpp"

namespace gembench {

std::string program_version() {
  return fmt::format("gembench {} (git {})", GEMBENCH_VERSION, GEMBENCH_GIT);
}

std::string build_description() {
  return GEMBENCH_BUILD;
}

std::string version_text() {
  return fmt::format("{}\nbuild {}\nresults schema {} {}\n{}\n{}\nBoost {}.{}\n", program_version(),
                     build_description(), kRunSchema, kRunSchemaVersion,
                     MpiSession::library_version(), cpu_gemm_version(), BOOST_VERSION / 100000,
                     BOOST_VERSION / 100 % 1000);
}

}  // namespace gembench
