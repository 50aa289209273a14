#include "harness/run/anonymous.hpp"

#include <gtest/gtest.h>

namespace gembench {
namespace {

const Identity kMe{"/home/alice", "alice", {"node07.cluster.org", "node08.cluster.org"}};

TEST(Anonymous, the_home_folder_and_folders_of_the_user_lose_their_names) {
  EXPECT_EQ(anonymous("/home/alice/t.h5", kMe), "~/t.h5");
  EXPECT_EQ(anonymous("--trace=/home/alice -o x", kMe), "--trace=~ -o x");
  EXPECT_EQ(anonymous("{\"trace\":\"/home/alice/t.h5\"}", kMe), "{\"trace\":\"~/t.h5\"}");
  EXPECT_EQ(anonymous("file:/scratch/alice/p.json, /p/alice", kMe),
            "file:/scratch/user/p.json, /p/user");
}

TEST(Anonymous, a_path_may_be_relative_or_glued_to_its_option) {
  EXPECT_EQ(anonymous("run -o/home/alice/t.h5 -o/scratch/alice/t.h5", kMe),
            "run -o~/t.h5 -o/scratch/user/t.h5");
  EXPECT_EQ(anonymous("'-o/home/alice/my run.h5'", kMe), "'-o~/my run.h5'");
  EXPECT_EQ(anonymous("alice/t.h5 --trace=alice/t.h5 -oalice/t.h5 ../alice", kMe),
            "user/t.h5 --trace=user/t.h5 -ouser/t.h5 ../user");
  EXPECT_EQ(anonymous("{\"placements\":[\"file:alice/p.json\"]}", kMe),
            "{\"placements\":[\"file:user/p.json\"]}");
}

TEST(Anonymous, hosts_are_numbered_with_and_without_their_domain) {
  EXPECT_EQ(anonymous("node08 and node07.cluster.org:1", kMe), "host1 and host0:1");
  EXPECT_EQ(anonymous("profile-of-node07.h5 node071 xnode07", kMe),
            "profile-of-node07.h5 node071 xnode07")
      << "a part of a word is no host";
}

TEST(Anonymous, what_only_looks_alike_stays) {
  for (const char* text :
       {"/home/alice2/t.h5", "/data/alice.h5", "alice", "malice/t.h5", "old-alice/t.h5",
        "a-oalice/t.h5", ".alice/t.h5", "/scratch/alice-old/p", "node07.h5x", "gem", ""}) {
    EXPECT_EQ(anonymous(text, {"/home/alice", "alice", {"node0"}}), text);
  }
  EXPECT_EQ(anonymous("/x/home/alice/t.h5", kMe), "/x/home/user/t.h5") << "not the home folder";
  EXPECT_EQ(anonymous("a-o/home/alice/t.h5", kMe), "a-o/home/user/t.h5");
  EXPECT_EQ(anonymous("/t.h5", {"", "", {}}), "/t.h5") << "a process without a home";
}

TEST(Anonymous, who_shares_a_host_or_a_gpu_stays_known) {
  std::map<std::string, std::vector<std::string>> facts{
      {"host", {"b", "a", "b", "a"}},
      {"gpu_uuid", {"GPU-1", "GPU-2", "GPU-1", ""}},
      {"device_id", {"0-3", "GPU-1", "0-3", "GPU-2"}},
      {"cpus", {"0-3", "4-7", "0-3", "4-7"}}};
  anonymise(facts, {"", "", {"b", "a"}});
  const std::map<std::string, std::vector<std::string>> expected{
      {"host", {"host0", "host1", "host0", "host1"}},
      {"gpu_uuid", {"gpu0", "gpu1", "gpu0", ""}},
      {"device_id", {"0-3", "gpu0", "0-3", "gpu1"}},
      {"cpus", {"0-3", "4-7", "0-3", "4-7"}},
      {"anonymous", {"yes", "yes", "yes", "yes"}}};
  EXPECT_EQ(facts, expected);
}

TEST(Anonymous, every_text_of_a_run_is_told_without_names) {
  RunInfo info;
  info.facts = {{"notes", "/home/alice/a.h5 on node07"},
                {"env_SLURM_JOB_NODELIST", "node[07-08]"},
                {"env_SLURM_JOB_ID", "12"},
                {"env_CUDA_VISIBLE_DEVICES", "GPU-5a1c7f7e-0d6b-4f0c-8b4e-2f7d2b1f9a10,1"},
                {"env_NCCL_TOPO_DUMP_FILE", "MIG-5a1c7f7e.xml"},
                {"env_NCCL_DEBUG", "INFO"},
                {"env_SLURM_NTASKS", "4"}};
  info.config = "{\"profile\":\"/home/alice/p.h5\"}";
  info.command_line = "gembench run --profile /home/alice/p.h5";
  info.labels = {"linear", "file:/home/alice/p.json"};
  info.placements.resize(2);
  info.placements[0].strategy = "linear";
  info.placements[1].strategy = "file:/home/alice/p.json";
  info.rank_facts["host"] = {"node07.cluster.org"};
  anonymise(info, kMe);
  const std::map<std::string, std::string> facts{
      {"notes", "~/a.h5 on host0"}, {"env_NCCL_DEBUG", "INFO"}, {"env_SLURM_NTASKS", "4"}};
  EXPECT_EQ(info.facts, facts);
  EXPECT_EQ(info.config, "{\"profile\":\"~/p.h5\"}");
  EXPECT_EQ(info.command_line, "gembench run --profile ~/p.h5");
  EXPECT_EQ(info.labels, (std::vector<std::string>{"linear", "file:~/p.json"}));
  EXPECT_EQ(info.placements[1].strategy, "file:~/p.json");
  EXPECT_EQ(info.rank_facts["host"], std::vector<std::string>{"host0"});
}

TEST(Anonymous, labels_that_become_the_same_are_numbered) {
  RunInfo info;
  for (const char* strategy : {"linear", "file:/home/alice/p.json", "file:~/p.json"}) {
    info.placements.emplace_back().strategy = strategy;
    info.labels.emplace_back(strategy);
  }
  anonymise(info, kMe);
  EXPECT_EQ(info.labels, (std::vector<std::string>{"linear", "file:~/p.json", "file:~/p.json#2"}));
}

TEST(Anonymous, what_a_check_says_names_nobody) {
  RunEnd end;
  end.check.message = "file:/home/alice/p.json step 3 layer 0: token 5 is off by 0.5";
  anonymise(end, kMe);
  EXPECT_EQ(end.check.message, "file:~/p.json step 3 layer 0: token 5 is off by 0.5");
}

}  // namespace
}  // namespace gembench
