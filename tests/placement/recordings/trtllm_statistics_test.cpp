#include <fmt/format.h>

#include "placement/recordings/token_recording.hpp"
#include "tests/placement/recordings/made_recordings.hpp"

namespace gembench {
namespace {

using namespace testing;
namespace fs = std::filesystem;

std::string safetensors(const std::string& header, const std::string& data) {
  return raw(static_cast<std::uint64_t>(header.size())) + header + data;
}

std::string entry(const std::string& name, std::uint64_t begin, std::uint64_t end,
                  const std::string& type = "I64", const std::string& shape = "2") {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", name, type,
                     shape, begin, end);
}

/// Two iterations (9, 10) of layers 3 and 4, keys sorted as texts as the library does.
std::string good_rank(std::int64_t more) {
  return safetensors("{\"__metadata__\":{\"format\":\"pt\"}," + entry("10_3", 0, 16) + "," +
                         entry("10_4", 16, 32) + "," + entry("9_3", 32, 48) + "," +
                         entry("9_4", 48, 64) + "}",
                     raw_all<std::int64_t>({5 + more, 7, 6 + more, 6, 1, 3 + more, 2 + more, 2}));
}

constexpr const char* kMeta = "{\"num_experts\": 2, \"num_experts_per_token\": 1}";

class TrtllmStatistics : public ::testing::Test {
 protected:
  void SetUp() override {
    write("meta_info.json", kMeta);
    write("rank0.safetensors", good_rank(0));
    write("rank1.safetensors", good_rank(10));
  }
  void write(const std::string& name, const std::string& bytes) const {
    (void)dir_.write(name, bytes);
  }
  [[nodiscard]] Trace read() const {
    return read_recording("trtllm-statistics", {{dir_.at("")}, 0, 0, 0});
  }
  void expect(const char* part) const {
    expect_refused(part, [&] { (void)read(); });
  }
  void expect_of_rank1(const char* part, const std::string& bytes) const {
    SCOPED_TRACE(part);
    write("rank1.safetensors", bytes);
    expect(part);
    expect("rank1.safetensors");
  }
  TempDir dir_;
};

TEST_F(TrtllmStatistics, IterationsAreStepsAndRanksSources) {
  const auto trace = read_recording("auto", {{dir_.at("")}, 2, 2, 1});
  EXPECT_EQ(trace.steps, 2);
  EXPECT_EQ(trace.topk, 1);
  EXPECT_EQ(trace.layer_ids, (std::vector<std::int32_t>{3, 4}));
  EXPECT_EQ(trace.sources, 2);
  EXPECT_EQ(trace.source_tokens, (std::vector<std::int32_t>{1, 3, 1, 13, 2, 2, 12, 2,  //
                                                            5, 7, 15, 7, 6, 6, 16, 6}));
  EXPECT_EQ(trace.tokens, (std::vector<std::int32_t>{2, 16, 14, 4, 20, 14, 22, 12}));
}

/// Ids [token][1] of two iterations of layers 3 and 4 that have these counts of two experts; -1 is
/// put before them.
std::string raw_rank(const std::vector<std::pair<int, int>>& counts) {
  std::string entries, data;
  const char* const names[] = {"10_3", "10_4", "9_3", "9_4"};
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<std::int32_t> ids{-1};
    ids.insert(ids.end(), static_cast<std::size_t>(counts[i].first), 0);
    ids.insert(ids.end(), static_cast<std::size_t>(counts[i].second), 1);
    const auto bytes = raw_all(ids);
    entries += (i == 0 ? "" : ",") + entry(names[i], data.size(), data.size() + bytes.size(), "I32",
                                           fmt::format("{},1", ids.size()));
    data += bytes;
  }
  return safetensors("{" + entries + "}", data);
}

/// The ids tell the same counts, beside these and alone, and are read as tokens.
TEST_F(TrtllmStatistics, IdsOfTokensMatchTheCounts) {
  const auto of_counts = read();
  write("rank0_raw.safetensors", raw_rank({{5, 7}, {6, 6}, {1, 3}, {2, 2}}));
  expect("counts of 2 ranks and ids of 1");
  write("rank1_raw.safetensors", raw_rank({{15, 7}, {16, 6}, {1, 13}, {12, 2}}));
  EXPECT_EQ(read().source_tokens, of_counts.source_tokens);
  const auto tokens =
      find_format("auto", {{dir_.at("")}, 0, 0, 0}).read_tokens({{dir_.at("")}, 2, 2, 1});
  EXPECT_EQ(tokens.layer_ids, (std::vector<std::int32_t>{3, 4}));
  EXPECT_EQ(tokens.tokens(), 4U + 14 + 12 + 22);
  ASSERT_EQ(tokens.requests.size(), 4U);  // iteration 9 of both ranks comes first
  EXPECT_EQ(tokens.requests[1].first, 4U);
  EXPECT_EQ(tokens.requests[1].tokens(), 14);
  EXPECT_FALSE(tokens.requests_known);
  EXPECT_EQ(std::vector<std::uint16_t>(tokens.ids.begin(), tokens.ids.begin() + 8),
            (std::vector<std::uint16_t>{0, 0, 1, 0, 1, 1, 1, 1}));
  EXPECT_NE(tokens.notes.at(0).find("left out 4 of 56 tokens"), std::string::npos);
  for (const char* rank : {"rank0.safetensors", "rank1.safetensors"}) fs::remove(dir_.at(rank));
  EXPECT_EQ(read().source_tokens, of_counts.source_tokens);
  EXPECT_EQ(find_format("auto", {{dir_.at("")}, 0, 0, 0}).name, "trtllm-statistics");
}

TEST_F(TrtllmStatistics, RefusesIdsThatAreOfSomethingElse) {
  fs::remove(dir_.at("rank1.safetensors"));
  const auto refuse = [&](const char* part, const std::string& ids) {
    SCOPED_TRACE(part);
    write("rank0_raw.safetensors", ids);
    expect(part);
    expect_refused(part, [&] {
      (void)find_format("trtllm-statistics", {{dir_.at("")}, 0, 0, 0})
          .read_tokens({{dir_.at("")}, 0, 0, 0});
    });
  };
  refuse("lists 2 tokens of expert 0 in layer 3 of iteration 9 where the file beside it counts 1",
         raw_rank({{5, 7}, {6, 6}, {2, 2}, {2, 2}}));
  const auto data = raw_all<std::int32_t>({0, 1, 0, 7});
  const auto two = [&](const char* type, const char* shape) {
    return safetensors("{" + entry("9_3", 0, 16, type, shape) + "}", data);
  };
  refuse("no I32 or I64 [tokens][1]", two("F32", "4,1"));
  refuse("no I32 or I64 [tokens][1]", two("I32", "2,2"));
  refuse("no I32 or I64 [tokens][1]", two("I32", "3,1"));
  refuse("no I32 or I64 [tokens][1]", two("I32", "4"));
  refuse("other iterations or layers than the file of counts", two("I32", "4,1"));
  fs::remove(dir_.at("rank0.safetensors"));
  refuse("names expert 7 of 2 in tensor 9_3", two("I32", "4,1"));
  fs::remove(dir_.at("rank0_raw.safetensors"));
  write("rank0.safetensors", good_rank(0));
  expect_refused("no rank0_raw.safetensors with the ids of tokens", [&] {
    (void)find_format("auto", {{dir_.at("")}, 0, 0, 0}).read_tokens({{dir_.at("")}, 0, 0, 0});
  });
}

TEST_F(TrtllmStatistics, RefusesFilesThatDoNotBelongTogether) {
  const auto two = raw_all<std::int64_t>({1, 1, 1, 1});
  expect_of_rank1("other iterations or layers than rank 0",
                  safetensors("{" + entry("9_3", 0, 16) + "," + entry("9_4", 16, 32) + "}", two));
}

TEST_F(TrtllmStatistics, RefusesMissingFiles) {
  fs::rename(dir_.at("rank1.safetensors"), dir_.at("rank2.safetensors"));
  expect("has no rank1.safetensors");
  fs::remove(dir_.at("rank0.safetensors"));
  expect("has no rank0.safetensors");
  for (const char* meta : {"", "[]", "{}", "{\"num_experts\": 0, \"num_experts_per_token\": 1}",
                           "{\"num_experts\": 2, \"num_experts_per_token\": 3}",
                           "{\"num_experts\": 1e9, \"num_experts_per_token\": 3}",
                           "{\"num_experts\": -2, \"num_experts_per_token\": 1}"}) {
    write("meta_info.json", meta);
    expect("meta_info.json has no num_experts");
  }
  fs::remove(dir_.at("meta_info.json"));
  expect("meta_info.json does not exist");
}

TEST_F(TrtllmStatistics, RefusesBrokenTensors) {
  const auto data = raw_all<std::int64_t>({1, 1, 1, 1});
  const auto one = [&](const std::string& header) { return safetensors("{" + header + "}", data); };
  expect_of_rank1("no I64 [2]", one(entry("9_3", 0, 16, "I32")));
  expect_of_rank1("no I64 [2]", one(entry("9_3", 0, 16, "I64", "1,2")));
  expect_of_rank1("no I64 [2]", one(entry("9_3", 0, 8)));
  expect_of_rank1("overlaps another", one(entry("9_3", 0, 16) + "," + entry("9_4", 8, 24)));
  expect_of_rank1("overlaps another", one(entry("9_3", 0, 16) + "," + entry("9_4", 0, 16)));
  expect_of_rank1("ends before its tensor 9_4",
                  one(entry("9_3", 0, 16) + "," + entry("9_4", 24, 40)));
  expect_of_rank1("ends before its tensor",
                  one(entry("9_3", 9223372036854775000u, 9223372036854775016u)));
  expect_of_rank1("malformed", one(entry("9_3", 16, 0)));
  expect_of_rank1("malformed", one(entry("9_3", 0, 18446744073709551615u)));
  expect_of_rank1("has tensor 9_3 twice", one(entry("9_3", 0, 16) + "," + entry("09_3", 16, 32)));
  expect_of_rank1("tensor weight where", one(entry("weight", 0, 16)));
  expect_of_rank1("tensor 9_ where", one(entry("9_", 0, 16)));
  expect_of_rank1("tensor -9_3 where", one(entry("-9_3", 0, 16)));
  expect_of_rank1("tensor 9_3_1 where", one(entry("9_3_1", 0, 16)));
  expect_of_rank1("tensor 99999999999_3 where", one(entry("99999999999_3", 0, 16)));
  expect_of_rank1("holds no counts", one(""));
  for (const char* header :
       {"", "[]", "3", "{\"9_3\":3}", "{\"9_3\":{}}", "{\"9_3\":[]}",
        "{\"9_3\":{\"dtype\":\"I64\"}}",
        "{\"9_3\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0]}}",
        "{\"9_3\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16,32]}}",
        "{\"9_3\":{\"dtype\":\"I64\",\"shape\":[-2],\"data_offsets\":[0,16]}}",
        "{\"9_3\":{\"dtype\":\"I64\",\"shape\":[2.5],\"data_offsets\":[0,16]}}",
        "{\"9_3\":{\"dtype\":\"I64\",\"shape\":[[2]],\"data_offsets\":[0,16]}}",
        "{\"9_3\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}",
        "{\"__metadata__\":3}", "{\"9_3\":{\"dtype\":{\"a\":{}}}}"})
    expect_of_rank1("malformed", safetensors(header, data));
  expect_of_rank1("malformed", safetensors(std::string(100'000, '['), data));
  expect_of_rank1("cut off", "1234567");
  expect_of_rank1("header of 9223372036854775807 bytes", raw(INT64_MAX) + "{}");
  expect_of_rank1("header of 3 bytes", raw(std::uint64_t{3}) + "{}");
}

TEST_F(TrtllmStatistics, RefusesGaps) {
  const auto data = raw_all<std::int64_t>({1, 1, 1, 1});
  fs::remove(dir_.at("rank1.safetensors"));
  const auto rank0 = [&](const std::string& a, const std::string& b, const char* part) {
    write("rank0.safetensors",
          safetensors("{" + entry(a, 0, 16) + "," + entry(b, 16, 32) + "}", data));
    expect(part);
  };
  rank0("9_3", "11_3", "has no counts of layer 3 in iteration 10");
  rank0("9_3", "10_4", "has no counts of layer 3 in iteration 10");
  write("rank0.safetensors", safetensors("{" + entry("9_3", 0, 16) + "," + entry("9_4", 16, 32) +
                                             "," + entry("10_3", 32, 48) + "}",
                                         data + raw_all<std::int64_t>({1, 1})));
  expect("lacks layers in its last iteration");
}

TEST_F(TrtllmStatistics, SurvivesDamage) {
  const auto good = good_rank(0);
  Random random(3);
  const auto try_bytes = [&](const std::string& bytes) {
    write("rank1.safetensors", bytes);
    try {
      (void)read_raw("trtllm-statistics", {{dir_.at("")}, 0, 0, 0});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
    }
  };
  for (std::size_t length = 0; length < good.size(); ++length) try_bytes(good.substr(0, length));
  for (int i = 0; i < 2000; ++i) {
    auto bytes = good;
    for (auto n = 1 + random.below(4); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    try_bytes(bytes);
  }
}

}  // namespace
}  // namespace gembench
