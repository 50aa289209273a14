#include <fcntl.h>
#include <sys/mman.h>

#include <cstdlib>

#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;

TEST(RecordingFormats, AreFoundByNameOrByWhatTheInputLooksLike) {
  const TempDir dir;
  const auto csv = dir.write("a", "step,layer,e0\n0,0,1\n");
  EXPECT_EQ(find_format("auto", {{csv}, 0, 0, 0}).name, "csv");
  EXPECT_EQ(find_format("npy", {{csv}, 0, 0, 0}).name, "npy");
  expect_refused("unknown trace format 'parquet': choose one of", [&] {
    (void)find_format("parquet", {{csv}, 0, 0, 0});
  });
  for (const char* text : {"", "hello", "PK\3\4", "{\"a\": 1}", "\x93NUMPX"})
    expect_refused("is not in a known recording format", [&] {
      (void)find_format("auto", {{dir.write("b", text)}, 0, 0, 0});
    });
  expect_refused("is not in a known recording format", [&] {
    (void)find_format("auto", {{dir.at("")}, 0, 0, 0});
  });
  for (const char* name : {"auto", "npy"})
    expect_refused("missing does not exist", [&] {
      (void)find_format(name, {{csv, dir.at("missing")}, 0, 0, 0});
    });
}

TEST(RecordingFormats, SeveralCandidatesAreNamed) {
  const TempDir dir;
  (void)dir.write("meta_info.json", "{}");
  (void)dir.write("rank0.safetensors", "");
  (void)dir.write("activation_counts_recordstep_1_rank_0.txt", "1\n");
  expect_refused("name it, trtllm-statistics or omni", [&] {
    (void)find_format("auto", {{dir.at("")}, 0, 0, 0});
  });
}

/// Files of a format that is one file are recordings of their own, in the order of the input.
TEST(RecordingFormats, FilesThatAreRecordingsOfTheirOwnComeOneByOne) {
  const TempDir dir;
  const auto json = [&](const char* name) {
    return dir.write(name, "{\"logical_count\": [[[1, 1]]]}");
  };
  const RecordingInput two{{json("b.json"), json("a.json")}, 0, 0, 1};
  const auto& format = find_format("auto", two);
  EXPECT_EQ(format.name, "sglang-json");
  const auto each = recordings_in(format, two);
  ASSERT_EQ(each.size(), 2U);
  EXPECT_EQ(each[0].paths, std::vector<std::filesystem::path>{two.paths[0]});
  EXPECT_EQ(each[1].topk, 1);
  const auto csv = dir.write("a.csv", "layer,expert,count\n0,0,1\n");  // are added up
  EXPECT_EQ(recordings_in(find_format("csv", {{csv, csv}, 0, 0, 1}), {{csv, csv}, 0, 0, 1}).size(),
            1U);
  expect_refused("not in a known recording format", [&] {
    (void)find_format("auto", {{two.paths[0], dir.write("c.npy", "\x93NUMPY\x01")}, 0, 0, 0});
  });
}

TEST(RecordingFormats, NamesAreUnique) {
  const auto formats = recording_formats();
  for (const auto& a : formats)
    for (const auto& b : formats) EXPECT_TRUE(&a == &b || a.name != b.name);
}

/// How fuzz targets drive the readers: a file in memory, under whatever name a format wants.
TEST(RecordingFormats, AreReadFromMemoryToo) {
  const TempDir dir;
  const auto in_memory = [&](const std::string& bytes, const std::string& name) {
    const int file = memfd_create("recording", MFD_CLOEXEC);
    EXPECT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(file), dir.at(name));
    return dir.at(name);  // the descriptor stays open
  };
  const auto expect_one = [](std::string_view format, const std::filesystem::path& path) {
    EXPECT_EQ(read_raw(format, {{path}, 0, 0, 0}).tokens, std::vector<std::int32_t>{7}) << format;
  };
  expect_one("csv", in_memory("step,layer,e0\n0,0,7\n", "csv"));
  expect_one("sglang-json", in_memory("{\"logical_count\": [[7]]}", "json"));
  expect_one("omni", in_memory("7\n", "activation_counts_recordstep_1_rank_0.txt"));
  const auto tensor = pickled::tensor({"LongStorage", "0", "cpu", 1, 0, {1, 1}, {1, 1}});
  const auto archive = write_zip(dir.at("archive"), {{"a/data.pkl", pickled::kStart + tensor + "."},
                                                     {"a/data/0", raw(std::int64_t{7})}});
  expect_one("ascend-pt", in_memory(slurp(archive), "pt"));
  std::filesystem::create_directory(dir.at("folder"));
  (void)in_memory("{\"num_experts\": 1, \"num_experts_per_token\": 1}", "folder/meta_info.json");
  const std::string header = R"({"5_3":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})";
  (void)in_memory(raw(std::uint64_t{header.size()}) + header + raw(std::int64_t{7}),
                  "folder/rank0.safetensors");
  expect_one("trtllm-statistics", dir.at("folder"));
}

/// Samples of the engines' own formats, where they are at hand; their layers do not sum alike.
class PeerFixtures : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("GEMBENCH_PEER_FIXTURES");
    folder_ = named
                  ? std::filesystem::path(named)
                  : std::filesystem::path(GEMBENCH_SOURCE_DIR) / ".." / "shared" / "peer_fixtures";
    if (!std::filesystem::is_directory(folder_))
      GTEST_SKIP() << "no samples in " << folder_ << "; set GEMBENCH_PEER_FIXTURES to their folder";
  }
  [[nodiscard]] Trace read(const char* name) const {
    return read_raw("auto", {{folder_ / name}, 0, 0, 0});
  }
  std::filesystem::path folder_;
};

TEST_F(PeerFixtures, AreReadAsTheyAre) {
  const auto json = read("sglang_logical_count_3d.json");
  EXPECT_EQ(json.tokens, (std::vector<std::int32_t>{10, 20, 30, 40, 7, 7, 7, 9}));
  EXPECT_EQ(json.model_layers, 2);

  const auto stat = read("sglang_stat.pt");
  EXPECT_EQ(stat.steps, 5);
  EXPECT_EQ(stat.layers, 2);
  EXPECT_EQ(stat.experts, 4);
  EXPECT_EQ(std::vector(stat.tokens.begin(), stat.tokens.begin() + 8),
            (std::vector<std::int32_t>{47, 11, 4, 6, 18, 48, 29, 7}));

  const auto pass = read("sglang_per_pass_rank0.pt");
  EXPECT_EQ(pass.steps, 2);
  EXPECT_EQ(pass.experts, 4);
  EXPECT_EQ(pass.sources, 0);
  // 12 28 47 29 13 10 and 5 40 40 25 .. by physical expert, 4 and 5 being replicas of 0 and 1
  EXPECT_EQ(pass.loads(0, 0)[2], 47);
  EXPECT_EQ(pass.loads(0, 0)[3], 29);
  EXPECT_EQ(pass.loads(0, 0)[0] + pass.loads(0, 0)[1], 12 + 28 + 13 + 10);

  const auto trtllm = read("trtllm_expert_statistic");
  EXPECT_EQ(trtllm.steps, 2);
  EXPECT_EQ(trtllm.topk, 2);
  EXPECT_EQ(trtllm.sources, 2);
  EXPECT_EQ(trtllm.layer_ids, (std::vector<std::int32_t>{3, 4}));
  const auto rank0 = trtllm.source_loads(0, 0).first(4);
  EXPECT_EQ(std::vector(rank0.begin(), rank0.end()), (std::vector<std::int32_t>{1, 5, 6, 0}));
}

}  // namespace
}  // namespace gembench
