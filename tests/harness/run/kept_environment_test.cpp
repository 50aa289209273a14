#include "harness/run/kept_environment.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

TEST(KeptEnvironment, is_the_settings_of_every_mpi_and_no_secret) {
  const char* const environment[] = {"OMPI_MCA_pml=ob1",
                                     "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe",
                                     "PMIX_MCA_gds=hash",
                                     "MPIR_CVAR_CH4_NETMOD=ofi",
                                     "UCX_TLS=rc,sm,self",
                                     "SLURM_JOB_ID=12",
                                     "NCCL_DEBUG=a=b",
                                     "HOME=/root",
                                     "MY_TOKEN=secret",
                                     "OMPI_MCA_without_value",
                                     nullptr};
  const std::map<std::string, std::string> expected{
      {"env_OMPI_MCA_pml", "ob1"},
      {"env_PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"},
      {"env_PMIX_MCA_gds", "hash"},
      {"env_MPIR_CVAR_CH4_NETMOD", "ofi"},
      {"env_UCX_TLS", "rc,sm,self"},
      {"env_SLURM_JOB_ID", "12"},
      {"env_NCCL_DEBUG", "a=b"}};
  EXPECT_EQ(kept_environment(environment), expected);
}

TEST(KeptEnvironment, has_no_addresses_and_no_temporary_folders) {
  for (const char* value : {"1718550528.0;tcp://172.17.0.2:44129", "prterun-host-1@0.0;tcp4://x:1",
                            "10.0.0.0/8", "eth0,192.168.1.0/24", "10.1.2.3:1234", "fe80::1",
                            "[2001:db8::2]:4000", "fe80::/10", "/tmp/prte.host.0/dvm.1", "/tmp",
                            "/run/user/1000/x", "shm=/dev/shm/a", "/usr/x:/var/tmp/y"})
    EXPECT_TRUE(is_of_this_run_alone(value)) << value;
  for (const char* value : {"", "1", "ob1", "eth0,ib0", "^openib", ":oversubscribe", "2(x2)",
                            "0,1,2", "4.1.4", "mlx5_0:1", "/opt/openmpi/lib", "/runs/x",
                            "/home/me/tmp", "a:b", "1.5", "node[1-4]", "0x1f:0x2f"})
    EXPECT_FALSE(is_of_this_run_alone(value)) << value;
  const char* const environment[] = {"PMIX_MCA_ptl_uri=1.0;tcp4://10.0.0.1:1", "OMP_NUM_THREADS=1",
                                     nullptr};
  EXPECT_EQ(kept_environment(environment).size(), 1U);
}

TEST(KeptEnvironment, does_not_say_who_runs_or_pays_and_has_no_personal_folders) {
  const char* const environment[] = {"HOME=/home/alice",
                                     "USER=alice",
                                     "LOGNAME=alice",
                                     "SSH_CONNECTION=10.0.0.1 22",
                                     "SLURM_JOB_USER=alice",
                                     "SLURM_JOB_UID=1000",
                                     "SLURM_JOB_GROUP=physics",
                                     "SLURM_JOB_ACCOUNT=grant-12",
                                     "SLURM_JOB_NAME=alices-secret",
                                     "SLURM_JOB_QOS=vip",
                                     "SLURM_JOB_RESERVATION=alice_1",
                                     "SLURM_JOB_COMMENT=hello",
                                     "OMPI_MCA_initial_wdir=/home/alice/project",
                                     "UCX_LOG_FILE=/scratch/alice/ucx.log",
                                     "NCCL_TOPO_FILE=/opt/topology.xml",
                                     "NCCL_IB_GID_INDEX=3",
                                     "SLURM_JOB_NUM_NODES=2",
                                     "SLURM_NTASKS_PER_NODE=4",
                                     nullptr};
  const std::map<std::string, std::string> expected{{"env_NCCL_TOPO_FILE", "/opt/topology.xml"},
                                                    {"env_NCCL_IB_GID_INDEX", "3"},
                                                    {"env_SLURM_JOB_NUM_NODES", "2"},
                                                    {"env_SLURM_NTASKS_PER_NODE", "4"}};
  EXPECT_EQ(kept_environment(environment), expected);
}

}  // namespace
}  // namespace gembench
