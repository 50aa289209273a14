#include "moe_layer/mpi/launch.hpp"

#include <gtest/gtest.h>

#include <map>

namespace gembench {
namespace {

using Variables = std::map<std::string, std::string>;

Launch launch_with(const Variables& variables) {
  return launch_in([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

Variables operator+(Variables one, const Variables& other) {
  one.insert(other.begin(), other.end());
  return one;
}

// As each launcher was seen to set them.
const Variables kOpenMpi{{"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_RANK", "3"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                         {"PMIX_RANK", "3"}};
const Variables kHydra{{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}, {"MPI_LOCALNRANKS", "2"}};
const Variables kPrrte{{"PMIX_RANK", "3"}};
const Variables kStep{
    {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "3"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"}};

TEST(Launch, is_read_as_every_launcher_tells_it) {
  EXPECT_EQ(launch_with({}), (Launch{0, 1, 1, ""}));
  EXPECT_EQ(launch_with(kOpenMpi), (Launch{3, 4, 2, "mpirun"}));
  EXPECT_EQ(launch_with(kHydra), (Launch{3, 4, 2, "mpiexec"}));
  EXPECT_EQ(launch_with(kStep), (Launch{3, 4, 2, "srun"}));
  EXPECT_EQ(launch_with({{"JSM_NAMESPACE_SIZE", "4"},
                         {"JSM_NAMESPACE_RANK", "3"},
                         {"JSM_NAMESPACE_LOCAL_SIZE", "2"}}),
            (Launch{3, 4, 2, "jsrun"}));
  EXPECT_EQ(launch_with({{"FLUX_JOB_SIZE", "4"}, {"FLUX_TASK_RANK", "3"}}),
            (Launch{3, 4, 0, "flux run"}));
  EXPECT_EQ(launch_with(kPrrte), (Launch{3, 0, 0, "prterun"}));
}

TEST(Launch, within_a_slurm_step_is_the_inner_launchers) {
  const Variables outer{
      {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"}};
  EXPECT_EQ(launch_with(kOpenMpi + outer), (Launch{3, 4, 2, "mpirun"}));
  EXPECT_EQ(launch_with(kHydra + outer), (Launch{3, 4, 2, "mpiexec"}));
  // One daemon for every rank.
  EXPECT_EQ(launch_with(kHydra + kStep), (Launch{3, 4, 2, "mpiexec"}));
}

TEST(Launch, by_srun_is_srun_whatever_it_speaks) {
  EXPECT_EQ(launch_with(kStep + kPrrte), (Launch{3, 4, 2, "srun"}));
  const Variables pmi2{{"PMI_SIZE", "4"}, {"PMI_RANK", "3"}};
  EXPECT_EQ(launch_with(kStep + pmi2), (Launch{3, 4, 2, "srun"}));
}

TEST(Launch, of_a_batch_script_is_no_launch) {
  EXPECT_EQ(launch_with({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}), Launch{});
}

}  // namespace
}  // namespace gembench
