#include "moe_layer/mpi/short_version.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(ShortVersion, is_what_an_mpi_calls_itself_without_how_it_was_built) {
  EXPECT_EQ(short_version("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, May 26, 2022"),
            "Open MPI v4.1.4");
  EXPECT_EQ(
      short_version("MPICH Version:      4.2.1\nMPICH Release date: Wed Apr 17\nMPICH ABI: 1"),
      "MPICH 4.2.1");
  EXPECT_EQ(short_version("MPICH Version:\t3.4\n"), "MPICH 3.4");
  EXPECT_EQ(short_version("Intel(R) MPI Library 2021.11 for Linux* OS\n"),
            "Intel(R) MPI Library 2021.11 for Linux* OS");
  EXPECT_EQ(short_version("MVAPICH Version :"), "MVAPICH Version :");
  EXPECT_EQ(short_version("Some Version:"), "Some");
  EXPECT_EQ(short_version(""), "");
}

}  // namespace
}  // namespace gembench
